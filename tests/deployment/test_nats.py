"""A real NATS server with config/nats, and certificates of config/enrol: who may do what, by MQTT 3.1.1."""

import queue
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agent.config import loading
from agent.diagnostics import broker_check
from tests.deployment.centre import HOSTS, Centre
from tests.deployment.files import CONFIG, run
from tests.deployment.mqtt_user import V311, User, connected
from tests.support import nats, orphans, proc
from tests.support.mosquitto import free_port

pytestmark = pytest.mark.real

V1 = "torchkeeper/v1"
NAMES = (*HOSTS, "torchkeeper-monitor", "torchkeeper-reader")


def configured(folder: Path, centre: Centre, port: int) -> str:
    """The configuration with ports and a folder of the test, and with its users and certificates beside it."""
    (folder / "users.conf").write_text(run(CONFIG / "nats/users", *HOSTS))
    if not (folder / "tls").exists():
        shutil.copytree(centre.pki / "broker", folder / "tls")
    text = (CONFIG / "nats/nats-server.conf").read_text()
    text = text.replace("0.0.0.0:8883", f"127.0.0.1:{port}").replace("127.0.0.1:4222", f"127.0.0.1:{free_port()}")
    return text.replace("/var/lib/nats", str(folder / "data")).replace("/etc/nats", str(folder))


@pytest.fixture(scope="module")
def server(centre: Centre) -> Iterator[int]:
    """The port of a running server."""
    folder, port = Path(tempfile.mkdtemp(prefix="tk-nats-", dir="/tmp")), free_port()
    orphans.note_folder(folder)
    settings = folder / "nats-server.conf"
    settings.write_text(configured(folder, centre, port))
    daemon = proc.Daemon([nats.program(), "--config", str(settings)], folder / "nats.log")
    daemon.start()
    try:
        daemon.wait_until(lambda: proc.listens(port))
        yield port
    finally:
        daemon.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def users(server: int, centre: Centre) -> Iterator[dict[str, User]]:
    """Everybody, connected."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(connected(server, centre.credentials(name), version=V311)) for name in NAMES}


def received(user: User) -> list[str]:
    """The topics of what has arrived, up to a message with the payload `last`."""
    topics = []
    while True:
        topic, payload = user.received.get(timeout=30)
        topics.append(topic)
        if payload == b"last":
            return topics


def test_a_host_writes_below_its_own_name_only_and_the_others_read_it(users: dict[str, User]) -> None:
    for name in ("torchkeeper-monitor", "torchkeeper-reader"):
        users[name].subscribe(f"{V1}/hosts/#")
    users["gpu-07"].publish(f"{V1}/hosts/gpu-08/events", "forged")
    users["torchkeeper-reader"].publish(f"{V1}/hosts/gpu-08/events", "forged")
    users["torchkeeper-monitor"].publish(f"{V1}/hosts/gpu-08/events", "forged")
    users["gpu-07"].publish(f"{V1}/hosts/gpu-07/status", "kept", retain=True)
    users["gpu-07"].publish(f"{V1}/hosts/gpu-07/events", "last")
    for name in ("torchkeeper-monitor", "torchkeeper-reader"):
        assert received(users[name]) == [f"{V1}/hosts/gpu-07/status", f"{V1}/hosts/gpu-07/events"]


def test_a_host_reads_what_is_meant_for_it_and_nothing_of_another(users: dict[str, User]) -> None:
    host, monitor = users["gpu-08"], users["torchkeeper-monitor"]
    for topic in ("hosts/#", "hosts/gpu-07/status", "control/gpu-07/#", "control/gpu-08/#", "collectors/+/status"):
        host.subscribe(f"{V1}/{topic}")
    users["gpu-07"].publish(f"{V1}/hosts/gpu-07/status", "not for it")
    monitor.publish(f"{V1}/control/gpu-07/ack", "not for it")
    monitor.publish(f"{V1}/control/gpu-08/policy", "not the monitor's to write")
    monitor.publish(f"{V1}/collectors/main/status", "born")
    monitor.publish(f"{V1}/control/gpu-08/ack", "last")
    assert sorted(received(host)) == [f"{V1}/collectors/main/status", f"{V1}/control/gpu-08/ack"]


def test_what_is_retained_reaches_a_reader_that_comes_later_and_no_other_host(
    users: dict[str, User], server: int, centre: Centre
) -> None:
    users["gpu-07"].publish(f"{V1}/hosts/gpu-07/info", "retained", retain=True)
    with connected(server, centre.credentials("torchkeeper-reader"), version=V311) as reader:
        reader.subscribe(f"{V1}/hosts/+/info")
        assert reader.next_topic() == f"{V1}/hosts/gpu-07/info"
    with connected(server, centre.credentials("gpu-08"), version=V311) as host:
        host.subscribe(f"{V1}/hosts/+/info")
        host.subscribe("$MQTT/#")
        with pytest.raises(queue.Empty):
            host.received.get(timeout=0.5)


async def test_check_finds_that_the_server_takes_an_enrolled_host(server: int, centre: Centre, tmp_path: Path) -> None:
    root = centre.root("gpu-07")
    config = tmp_path / "torchkeeper.toml"
    text = (root / "etc/torchkeeper/torchkeeper.toml").read_text().replace('"/etc/', f'"{root}/etc/')
    config.write_text(text.replace(f":{centre.port}", f":{server}"))
    [found] = await broker_check.run(loading.load(config).mqtt, "gpu-07")
    assert (found.ok, "hosts/gpu-07/status comes back" in found.detail) == (True, True), found


def test_nobody_gets_in_without_a_certificate_or_without_lines_of_his_own(server: int, centre: Centre) -> None:
    centre.must_enrol("--client", "stranger")
    for credentials in (None, centre.pki / "clients/stranger"):
        with (
            pytest.raises((OSError, ConnectionError)),
            connected(server, credentials, ca_file=centre.pki / "ca.crt", version=V311),
        ):
            pass


def test_the_server_accepts_the_lines_for_a_cluster(centre: Centre, tmp_path: Path) -> None:
    text = configured(tmp_path, centre, free_port())
    head, tail = text.split("# cluster {\n")
    cluster = "cluster {\n" + "".join(f"{line.removeprefix('# ')}\n" for line in tail.splitlines())
    settings = tmp_path / "nats-server.conf"
    settings.write_text(head.replace("max_ack_pending", "stream_replicas: 3\n  max_ack_pending") + cluster)
    run(nats.program(), "-t", "--config", settings)


@pytest.mark.parametrize("name", ["gpu.07", "gpu-*", "gpu 07", "torchkeeper-monitor"])
def test_a_name_that_would_be_more_than_one_host_is_refused(name: str) -> None:
    done = subprocess.run([CONFIG / "nats/users", name], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is no name of a host" in done.stderr


def test_shellcheck_finds_nothing() -> None:
    run(Path(sys.executable).with_name("shellcheck"), CONFIG / "nats/users")
