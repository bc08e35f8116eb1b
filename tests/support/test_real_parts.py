"""The real parts start, behave as the other tests require, and leave nothing behind."""

import ssl
import sys
import time
import tomllib
from pathlib import Path

import aiomqtt
import pytest

from agent.config.settings import Settings
from tests import conftest
from tests.support import dockerd, engines, images, mosquitto, proc, registry

SLEEP = ("sleep", "600")


def connect(broker: mosquitto.Mosquitto, user: str = "", password: str = "") -> aiomqtt.Client:
    return aiomqtt.Client(
        broker.host,
        broker.port,
        username=user or None,
        password=password or None,
        identifier=user or None,
        tls_context=ssl.create_default_context(cafile=broker.ca_file) if broker.ca_file else None,
        protocol=aiomqtt.ProtocolVersion.V5,
        clean_start=not user,
    )


async def retained(broker: mosquitto.Mosquitto, topic: str) -> bytes:
    async with connect(broker) as client:
        await client.subscribe(topic, qos=1)
        async for message in client.messages:
            return bytes(message.payload) if isinstance(message.payload, bytes) else b""
    raise AssertionError("the broker ended the stream of messages")


@pytest.mark.real
def test_an_engine_leaves_no_process_no_mount_and_no_file_behind() -> None:
    with dockerd.running() as engine:
        images.import_image(engine, "base:1")
        images.run(engine, "base:1", *SLEEP, detach=True)
        assert len(dockerd.processes_of(engine.folder)) >= 4  # dockerd, containerd, the shim, the container
        assert dockerd.mounts_under(engine.folder) != []
    assert dockerd.processes_of(engine.folder) == []
    assert dockerd.mounts_under(engine.folder) == []
    assert not engine.folder.exists()


@pytest.mark.real
def test_a_killed_engine_leaves_no_process_and_no_mount_behind() -> None:
    with dockerd.running() as engine:
        images.import_image(engine, "base:1")
        images.run(engine, "base:1", *SLEEP, detach=True)
        engine.kill()
        assert dockerd.processes_of(engine.folder) != []
    assert dockerd.processes_of(engine.folder) == []
    assert dockerd.mounts_under(engine.folder) == []


def test_an_engine_keeps_its_data_over_kill_and_restart(own_engine: dockerd.Dockerd) -> None:
    images.import_image(own_engine, "base:1")
    own_engine.kill()
    assert not own_engine.ping()
    own_engine.restart()
    assert own_engine.references() == {"base:1"}


def test_a_frozen_engine_answers_nothing_until_it_goes_on(own_engine: dockerd.Dockerd) -> None:
    own_engine.stop_signal()
    assert not own_engine.ping()
    own_engine.cont_signal()
    proc.eventually(own_engine.ping)


@pytest.mark.real
def test_an_engine_that_cannot_start_shows_its_log() -> None:
    with (
        pytest.raises(AssertionError, match="none-such"),
        dockerd.running(config={"storage-driver": "none-such"}),
    ):
        pass


def test_an_imported_image_has_what_was_asked_for(fresh_engine: dockerd.Dockerd) -> None:
    image = images.import_image(
        fresh_engine,
        "team/app:1",
        env={"TORCH": 'a "quoted" $HOME'},
        labels={"a.b": "x y"},
        entrypoint=["echo", "hello"],
        size_mb=3,
        extra_refs=["team/app:latest"],
    )
    _, found = fresh_engine.api("GET", f"/images/{image}/json")
    assert found["Config"]["Env"][-1] == 'TORCH=a "quoted" $HOME'
    assert found["Config"]["Labels"] == {"a.b": "x y"}
    assert sorted(found["RepoTags"]) == ["team/app:1", "team/app:latest"]
    assert 3 * images.MB < found["Size"] < 6 * images.MB
    assert images.run(fresh_engine, "team/app:1", "world", rm=True) == "hello world"


def test_two_imported_images_share_no_layer(engine: dockerd.Dockerd) -> None:
    layers = [
        engine.api("GET", f"/images/{images.import_image(engine, ref, size_mb=0)}/json")[1]["RootFS"]["Layers"]
        for ref in ("one:1", "two:1")
    ]
    assert layers[0] != layers[1]


@pytest.mark.parametrize("classic", [True, False], ids=["classic", "buildkit"])
def test_a_child_has_the_layers_of_its_base_and_one_more(fresh_engine: dockerd.Dockerd, classic: bool) -> None:
    base = images.import_image(fresh_engine, "base:1")
    child = images.build_child(fresh_engine, "base:1", "child:1", classic=classic, labels={"a": "b"})
    of_base, of_child = (fresh_engine.api("GET", f"/images/{image}/json")[1] for image in (base, child))
    assert of_child["RootFS"]["Layers"][:-1] == of_base["RootFS"]["Layers"]
    assert of_child["Config"]["Labels"] == {"a": "b"}
    assert (of_child["Parent"] != "") is classic


def test_containers_run_wait_and_are_named(fresh_engine: dockerd.Dockerd) -> None:
    images.import_image(fresh_engine, "base:1")
    created = images.create(fresh_engine, "base:1", name="made")
    running = images.run(fresh_engine, "base:1", *SLEEP, detach=True, name="runs")
    images.run(fresh_engine, "base:1", rm=True)
    found = {c["Id"]: (c["Names"], c["State"]) for c in fresh_engine.containers()}
    assert found == {created: (["/made"], "created"), running: (["/runs"], "running")}


def test_an_emptied_engine_holds_nothing(engine: dockerd.Dockerd) -> None:
    images.import_image(engine, "base:1", extra_refs=["other:1"])
    images.build_child(engine, "base:1", "child:1")
    images.build_child(engine, "base:1", "child:2", classic=False)
    images.run(engine, "child:1", *SLEEP, detach=True)
    engine.empty()
    assert (engine.containers(), engine.images()) == ([], [])


def test_a_pushed_image_gets_a_digest_and_comes_back_by_a_pull(
    fresh_engine: dockerd.Dockerd, loopback_registry: registry.Registry
) -> None:
    ref = f"{loopback_registry.name}/team/app:1"
    image = images.import_image(fresh_engine, ref)
    fresh_engine.docker("push", ref)
    fresh_engine.docker("image", "rm", ref)
    fresh_engine.docker("pull", ref)
    _, found = fresh_engine.api("GET", f"/images/{ref}/json")
    assert found["Id"] == image
    assert [digest.partition("@")[0] for digest in found["RepoDigests"]] == [ref.removesuffix(":1")]


async def test_a_broker_delivers(broker: mosquitto.Mosquitto) -> None:
    async with connect(broker) as client:
        await client.publish("a/b", b"hello", qos=1, retain=True)
    assert await retained(broker, "a/b") == b"hello"


@pytest.mark.real
async def test_a_persistent_broker_keeps_its_messages_over_a_restart() -> None:
    with mosquitto.running(persistence=True) as broker:
        async with connect(broker) as client:
            await client.publish("a/b", b"kept", qos=1, retain=True)
        broker.restart()
        assert await retained(broker, "a/b") == b"kept"


@pytest.mark.real
async def test_a_killed_broker_comes_back_on_its_port_without_its_messages() -> None:
    with mosquitto.running(persistence=True) as broker:
        async with connect(broker) as client:
            await client.publish("a/b", b"lost", qos=1, retain=True)
        broker.kill()
        assert not broker.listens()
        broker.restart()
        async with connect(broker) as client:
            await client.publish("a/b", b"new", qos=1, retain=True)
        assert await retained(broker, "a/b") == b"new"


@pytest.mark.real
async def test_a_broker_with_accounts_refuses_strangers_and_strange_topics() -> None:
    users = {"gpu-01": "one", "collector": "two"}
    with mosquitto.running(users=users, acl=mosquitto.ACL) as broker:
        with pytest.raises(aiomqtt.MqttError):
            async with connect(broker):
                pass
        async with connect(broker, "collector", "two") as collector, connect(broker, "gpu-01", "one") as host:
            await collector.subscribe("torchkeeper/v1/hosts/#", qos=1)
            await host.publish("torchkeeper/v1/hosts/gpu-02/status", b"not mine", qos=1)
            await host.publish("torchkeeper/v1/hosts/gpu-01/status", b"mine", qos=1)
            message = await anext(aiter(collector.messages))
    assert message.payload == b"mine"


@pytest.mark.real
async def test_a_broker_with_tls_is_proven_by_its_ca() -> None:
    with mosquitto.running(tls=True) as broker:
        assert broker.url == f"mqtts://localhost:{broker.port}"
        async with connect(broker) as client:
            await client.publish("a/b", b"secret", qos=1, retain=True)
        assert await retained(broker, "a/b") == b"secret"


@pytest.mark.real
def test_a_broker_leaves_no_process_and_no_file_behind() -> None:
    with mosquitto.running() as broker:
        assert dockerd.processes_of(broker.folder) == [broker.pid]
    assert dockerd.processes_of(broker.folder) == []
    assert not broker.folder.exists()


def test_a_daemon_that_ends_too_early_shows_its_log(tmp_path: Path) -> None:
    daemon = proc.Daemon([sys.executable, "-c", "print('why'); raise SystemExit(3)"], tmp_path / "log")
    daemon.start()
    with pytest.raises(AssertionError, match="ended with 3\nwhy"):
        daemon.wait_until(lambda: False)


def test_a_daemon_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    program = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    daemon = proc.Daemon([sys.executable, "-c", program], tmp_path / "log")
    daemon.start()
    daemon.wait_until(daemon.output)
    assert daemon.stop(grace=0.1) == -9


def test_waiting_ends_with_the_last_value() -> None:
    with pytest.raises(AssertionError, match=r"not within 0\.1 s; the last value was \[\]"):
        proc.eventually(list, timeout=0.1)


def test_the_last_look_begins_after_the_time_is_over_however_long_this_process_stood_still() -> None:
    def look() -> bool:
        looks.append(time.monotonic() - began)
        time.sleep(0.2)
        return len(looks) > 1

    looks, began = list[float](), time.monotonic()
    assert proc.eventually(look, timeout=0.1)
    assert looks[1] > 0.1


async def test_waiting_for_a_coroutine_returns_its_first_true_value() -> None:
    values = iter([0, 0, 7])

    async def look() -> int:
        return next(values)

    assert await proc.eventually_async(look) == 7


def test_a_written_configuration_reads_back(tmp_path: Path) -> None:
    written = proc.write_config(
        tmp_path / "torchkeeper.toml",
        agent={"host": "gpu-01", "state_dir": tmp_path},
        policy={"ttl": "3s", "protect": [], "rules": [{"match": "ä:*", "keep": True}]},
    )
    assert tomllib.loads(written.read_text()) == {
        "agent": {"host": "gpu-01", "state_dir": str(tmp_path)},
        "policy": {"ttl": "3s", "protect": [], "rules": [{"match": "ä:*", "keep": True}]},
    }
    assert Settings.model_validate(tomllib.loads(written.read_text())).agent.host == "gpu-01"


def test_a_missing_part_skips_the_test_but_fails_where_ci_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install none-such"):
        proc.require_program("none-such", "none-such")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install none-such"):
        proc.require_program("none-such", "none-such")


def test_a_current_engine_that_cannot_be_had_or_does_not_start_is_skipped_with_the_reason_where_ci_is_set_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr(engines, "_unpacked", lambda name: ("", f"no package of {name}"))
    with (
        pytest.raises(pytest.skip.Exception, match="no current engine: no package of current"),
        engines.running("current"),
    ):
        pass
    with pytest.raises(pytest.fail.Exception, match=r"no engine 26\.1: no package"), engines.running("26.1-containerd"):
        pass


@pytest.mark.real
def test_a_current_engine_that_does_not_start_is_tried_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    program = tmp_path / "usr/sbin/dockerd"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho >>{tries}\necho 'version GLIBC_2.99 not found'\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(engines, "_unpacked", lambda _: (str(tmp_path), ""))
    with engines.pool() as pool:
        for _ in range(2):
            with pytest.raises(pytest.skip.Exception, match="does not start here: version GLIBC_"):
                pool.get("current-containerd")
    assert tries.read_text() == "\n"


def test_the_header_of_a_test_run_names_the_current_engine_by_its_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(engines, "CACHE", tmp_path)
    assert engines.current() == "the current engine (not unpacked)"
    program = tmp_path / "current/usr/sbin/dockerd"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho 'Docker version 31.4.1+dfsg1, build abc'\n")
    program.chmod(0o755)
    assert engines.current() == "the current engine (31.4.1+dfsg1)"
    assert conftest.pytest_report_header()[1].endswith("the current engine (31.4.1+dfsg1)")
