"""`check` names each problem and the way out, and fails only where there is one."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.adapters import overrides
from tests.acceptance.collector import AcceptanceCollector, collecting
from tests.acceptance.host import NAME, RealHost
from tests.support import engines, mosquitto, overrides_by_hand, proc

pytestmark = engines.ON_ONE

CAPABILITIES = "-dac_override,-dac_read_search"  # without these, root is bound by permissions as others are


def as_plain_user(host: RealHost, *args: str) -> subprocess.CompletedProcess[str]:
    program = proc.require_program("setpriv", "util-linux")
    drop = [program, f"--bounding-set={CAPABILITIES}", f"--inh-caps={CAPABILITIES}", "--clear-groups"]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("TORCHKEEPER_", "DOCKER_"))}
    done = subprocess.run(
        [*drop, *proc.command(), *args, "--config", str(host.config)],
        env=env | {"HOME": str(host.folder), "XDG_STATE_HOME": str(host.folder / "xdg")},
        capture_output=True,
        text=True,
        check=False,
        timeout=proc.COMMAND,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done


@contextmanager
def somebody_elses(path: Path, mode: int) -> Iterator[None]:
    before = path.stat()
    os.chown(path, 65534, 65534)
    path.chmod(mode)
    try:
        yield
    finally:
        os.chown(path, before.st_uid, before.st_gid)
        path.chmod(before.st_mode & 0o7777)


@pytest.mark.direct
def test_check_finds_nothing_wrong(
    host: RealHost, collector: AcceptanceCollector, fleet_broker: mosquitto.Mosquitto
) -> None:
    code, found = host.checks()
    assert (code, [item["name"] for item in found.values() if not item["ok"]]) == (0, [])
    assert found.keys() == {"configuration", "state", "pins", "alerts", "engine", "disk", "layers", "broker"}
    assert all(item.keys() == {"name", "ok", "detail", "hint"} for item in found.values())
    assert host.engine.url in found["engine"]["detail"]
    assert fleet_broker.url in found["broker"]["detail"]
    assert "FAILED" not in host.output_of("check")
    with collecting(fleet_broker, "latecomer") as late:
        assert late.found == set()
    assert set(collector.latest) == {f"{NAME}/alerts/check", f"{NAME}/status"}


def test_a_running_agent_is_not_disturbed(
    host: RealHost, collector: AcceptanceCollector, fleet_broker: mosquitto.Mosquitto
) -> None:
    with host.agent():
        before = collector.await_state(NAME, "online")
        code, found = host.checks()
        with collecting(fleet_broker, "latecomer") as late:
            proc.eventually(lambda: f"{NAME}/status" in late.found)
            assert late.read(f"{NAME}/status") == before
        states = collector.states(NAME)
    assert (code, found["broker"]["ok"]) == (0, True)
    assert found["alerts"] == {"name": "alerts", "ok": True, "detail": "none", "hint": ""}
    assert set(states) == {("online", before["session"])}
    assert host.count_in_log("calls itself") == 0


def test_check_names_a_missing_engine(lone_host: RealHost) -> None:
    lone_host.configure(docker={"url": f"unix://{lone_host.folder}/none.sock"})
    code, found = lone_host.checks()
    assert (code, found["engine"]["ok"]) == (1, False)
    assert "none.sock" in found["engine"]["detail"]
    assert "docker.url" in found["engine"]["hint"]
    planned = lone_host.run("plan")
    assert (planned.returncode, "torchkeeper check" in planned.stderr) == (1, True)


@pytest.mark.direct
def test_check_names_a_socket_without_permission(lone_host: RealHost) -> None:
    with somebody_elses(lone_host.engine.socket, 0o600):
        checked, planned = as_plain_user(lone_host, "check"), as_plain_user(lone_host, "plan")
    assert checked.returncode == planned.returncode == 1
    assert "engine FAILED" in " ".join(checked.stdout.split())
    assert "add this user to the group" in " ".join(checked.stdout.split())
    assert "member of the socket's group" in planned.stderr


def test_check_names_a_configuration_file_that_this_user_may_not_read(lone_host: RealHost) -> None:
    with somebody_elses(lone_host.config, 0o600):
        checked, planned = as_plain_user(lone_host, "check", "--json"), as_plain_user(lone_host, "plan")
    assert (checked.returncode, planned.returncode) == (1, 2)
    for output in (checked.stdout, planned.stderr):
        assert f"{lone_host.config}: cannot be read: Permission denied; run this as the agent's user" in output


def test_check_names_a_state_folder_that_cannot_be_written(lone_host: RealHost) -> None:
    lone_host.state.mkdir()
    with somebody_elses(lone_host.state, 0o500):
        checked, swept = as_plain_user(lone_host, "check"), as_plain_user(lone_host, "sweep")
        pinned = as_plain_user(lone_host, "pause")
    assert checked.returncode == swept.returncode == pinned.returncode == 1
    assert "state FAILED" in " ".join(checked.stdout.split())
    for output in (" ".join(checked.stdout.split()), swept.stderr, pinned.stderr):
        assert "agent.state_dir" in output


def test_a_host_name_with_a_dot_that_was_used_before_is_kept_and_warned_of(lone_host: RealHost) -> None:
    lone_host.configure(agent={"host": "gpu-01.lab"})
    with mosquitto.running() as broker:
        lone_host.configure(mqtt={"url": broker.url})
        with lone_host.agent():
            pass
        lone_host.configure(agent={"host": ""})
        with lone_host.agent():
            code, found = lone_host.checks()
    assert (code, lone_host.count_in_log("host=gpu-01.lab ")) == (0, 2)
    assert "torchkeeper/v1/hosts/gpu-01.lab/status comes back" in found["broker"]["detail"]
    assert found["broker"]["hint"].endswith('set agent.host = "gpu-01-lab"')


def test_check_names_a_missing_broker(host: RealHost, fleet_broker: mosquitto.Mosquitto) -> None:
    fleet_broker.stop()
    code, found = host.checks()
    assert (code, found["broker"]["ok"], found["engine"]["ok"]) == (1, False, True)
    assert str(fleet_broker.port) in found["broker"]["detail"]
    assert "start the broker" in found["broker"]["hint"]


def test_check_names_a_refused_login(host: RealHost, fleet_broker: mosquitto.Mosquitto) -> None:
    host.report_to(fleet_broker, password="wrong")
    code, found = host.checks()
    assert (code, found["broker"]["ok"]) == (1, False)
    assert "mqtt.password_file" in found["broker"]["hint"]
    assert "wrong" not in str(found)


def test_check_names_an_acl_that_does_not_fit_the_host_name(host: RealHost) -> None:
    host.configure(agent={"host": "gpu-02"})
    code, found = host.checks()
    assert (code, found["broker"]["ok"]) == (1, False)
    assert "torchkeeper/v1/hosts/gpu-02/#" in found["broker"]["hint"]


def test_check_names_a_missing_password_file(host: RealHost) -> None:
    host.configure(mqtt={"password_file": host.folder / "none"})
    code, found = host.checks()
    assert (code, found["broker"]["ok"]) == (1, False)
    assert str(host.folder / "none") in found["broker"]["detail"]
    assert found["broker"]["hint"] == "put the file there, or correct mqtt.password_file"


def test_a_broker_with_tls_is_trusted_by_its_ca_alone(lone_host: RealHost) -> None:
    with mosquitto.running(tls=True) as broker:
        lone_host.configure(mqtt={"url": broker.url, "ca_file": broker.ca_file})
        trusted, _ = lone_host.checks()
        lone_host.configure(mqtt={"ca_file": ""})
        code, found = lone_host.checks()
    assert (trusted, code, found["broker"]["ok"]) == (0, 1, False)
    assert "certificate" in found["broker"]["detail"]
    assert found["broker"]["hint"] == "set mqtt.ca_file to the certificate of your own authority"


def test_check_names_a_wrong_key(lone_host: RealHost) -> None:
    lone_host.configure(policy={"tll": "3d"})
    code, found = lone_host.checks()
    assert (code, set(found)) == (1, {"configuration"})
    assert "policy.tll" in found["configuration"]["detail"]


@pytest.mark.parametrize("text", ['{"pins": 3}', ""])
def test_pins_that_cannot_be_read_stop_eviction_until_they_can(lone_host: RealHost, text: str) -> None:
    lone_host.state.mkdir()
    overrides_by_hand.path(lone_host.state).write_text(text)
    code, found = lone_host.checks()
    assert (code, found["pins"]["ok"]) == (1, False)
    assert "correct that in the file" in found["pins"]["hint"]
    assert "remove" not in str(found["pins"])
    assert lone_host.run("pause").returncode == 1
    assert (lone_host.state / overrides.FILE).read_text() == text


def test_pins_damaged_beside_a_running_agent_stop_every_eviction_until_they_are_corrected(lone_host: RealHost) -> None:
    host = lone_host
    host.state.mkdir()
    overrides_by_hand.path(host.state).write_text("rubbish")
    image = host.torch("team/idle:1")
    with host.agent():
        proc.eventually(lambda: host.row(image)["held_by"] == "paused")
        assert host.has_image(image)
        (host.state / overrides.FILE).unlink()
        host.await_gone(image)


def test_images_that_one_sign_calls_pytorch_are_named_and_fail_nothing(lone_host: RealHost) -> None:
    lone_host.configure(images={"probe_layers": False})  # torch in the layers is a second sign
    lone_host.torch("corp/ranker:7")
    lone_host.torch("teamai/pytorch:2.4-cuda12.1")
    code, found = lone_host.checks()
    assert (code, found["recognition"]["ok"]) == (0, True)
    assert found["recognition"]["detail"] == "1 image(s) count as PyTorch by one sign alone: corp/ranker:7"
    assert "images.exclude" in found["recognition"]["hint"]
