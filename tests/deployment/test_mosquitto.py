"""A real mosquitto with config/mosquitto, and certificates of config/enrol: who may do what."""

import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.deployment.centre import Centre
from tests.deployment.mqtt_user import User, connected
from tests.support import proc
from tests.support.mosquitto import make_certificates

pytestmark = pytest.mark.real

V1 = "torchkeeper/v1"
REFUSED = (OSError, ConnectionError)


@pytest.fixture(scope="module")
def users(centre: Centre) -> Iterator[dict[str, User]]:
    """Everybody, connected."""
    with ExitStack() as stack:
        names = ("gpu-07", "gpu-08", "torchkeeper-monitor", "torchkeeper-reader")
        yield {name: stack.enter_context(connected(centre.port, centre.credentials(name))) for name in names}


def writable(user: User, *topics: str) -> list[str]:
    return [topic for topic in topics if user.may_write(f"{V1}/{topic}")]


def test_a_host_writes_below_its_own_name_only(users: dict[str, User]) -> None:
    own = ["hosts/gpu-07/status", "hosts/gpu-07/events", "hosts/gpu-07/alerts/state-full"]
    others = ["hosts/gpu-08/status", "hosts/gpu-08/events", "hosts/gpu-070/status", "hosts/torchkeeper-monitor/status"]
    control = ["control/gpu-07/ack", "control/all/policy", "collectors/main/status"]
    assert writable(users["gpu-07"], *own, *others, *control) == own


def test_the_monitor_writes_its_status_and_its_acknowledgements_only(users: dict[str, User]) -> None:
    own = ["collectors/main/status", "control/gpu-07/ack", "control/gpu-08/ack"]
    others = ["hosts/gpu-07/status", "hosts/torchkeeper-monitor/status", "control/gpu-07/policy", "control/all/policy"]
    assert writable(users["torchkeeper-monitor"], *own, *others) == own


def test_a_reader_writes_nothing(users: dict[str, User]) -> None:
    topics = ["hosts/gpu-07/status", "hosts/torchkeeper-reader/status", "control/gpu-07/ack", "collectors/main/status"]
    assert writable(users["torchkeeper-reader"], *topics) == []


@pytest.mark.parametrize("name", ["torchkeeper-monitor", "torchkeeper-reader"])
def test_the_monitor_and_a_reader_read_every_host(users: dict[str, User], name: str) -> None:
    users[name].subscribe(f"{V1}/hosts/#")
    for host in ("gpu-07", "gpu-08"):
        users[host].publish(f"{V1}/hosts/{host}/events", name)
        assert next_with(users[name], name.encode()) == f"{V1}/hosts/{host}/events"


def test_a_host_reads_what_is_meant_for_it_and_nothing_of_another(users: dict[str, User], centre: Centre) -> None:
    monitor, host = users["torchkeeper-monitor"], users["gpu-08"]
    for topic in ("hosts/#", "control/#", "collectors/#"):
        host.subscribe(f"{V1}/{topic}")
    users["gpu-07"].publish(f"{V1}/hosts/gpu-07/status")
    monitor.publish(f"{V1}/control/gpu-07/ack", "not for it")
    monitor.publish(f"{V1}/collectors/main/status", "born")
    monitor.publish(f"{V1}/control/gpu-08/ack", "read")
    host.publish(f"{V1}/hosts/gpu-08/status", "last")
    wanted = [f"{V1}/{topic}" for topic in ("collectors/main/status", "control/gpu-08/ack", "hosts/gpu-08/status")]
    found = [host.next_topic()]
    while found[-1] != wanted[-1]:
        found.append(host.next_topic())
    assert list(dict.fromkeys(found)) == wanted  # one that is retained may arrive twice


def test_nobody_gets_in_without_a_certificate_of_the_fleet(centre: Centre, tmp_path: Path) -> None:
    make_certificates(tmp_path)
    for name in ("crt", "key"):
        (tmp_path / f"server.{name}").rename(tmp_path / f"mqtt.{name}")
    ca_file = centre.pki / "ca.crt"
    with pytest.raises(REFUSED), connected(centre.port, None, ca_file=ca_file):
        pass
    with pytest.raises(REFUSED), connected(centre.port, tmp_path, ca_file=ca_file):
        pass


def test_a_client_notices_a_broker_that_is_not_of_the_fleet(centre: Centre, tmp_path: Path) -> None:
    context = ssl.create_default_context(cafile=make_certificates(tmp_path))
    with socket.create_connection(("localhost", centre.port)) as plain, pytest.raises(ssl.SSLCertVerificationError):
        context.wrap_socket(plain, server_hostname="localhost")


def test_a_server_with_the_certificate_of_a_host_is_not_taken_for_the_broker(centre: Centre) -> None:
    answer = subprocess.run(
        ["openssl", "verify", "-purpose", "sslserver", "-CAfile", centre.pki / "ca.crt",
         centre.credentials("gpu-07") / "mqtt.crt"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "certificate purpose" in answer.stderr + answer.stdout


def test_a_revoked_host_is_refused_after_a_sighup_and_the_others_stay(centre: Centre, users: dict[str, User]) -> None:
    centre.root("stolen").mkdir()
    centre.must_enrol("stolen", "--root", str(centre.root("stolen")))
    credentials = centre.root("stolen") / "etc/torchkeeper/credentials"
    with connected(centre.port, credentials):
        pass
    assert "revoked: stolen" in centre.must_enrol("--revoke", "stolen", OWNER="mosquitto")
    centre.give_files()
    centre.send_signal(signal.SIGHUP)
    proc.eventually(lambda: not takes(centre, credentials))
    assert users["gpu-07"].may_write(f"{V1}/hosts/gpu-07/status")
    assert takes(centre, centre.credentials("gpu-08"))


def test_retained_messages_survive_a_restart_of_the_broker(centre: Centre) -> None:
    topic = f"{V1}/hosts/gpu-07/info"
    with connected(centre.port, centre.credentials("gpu-07")) as host:
        host.publish(topic, "kept", retain=True)
    centre.stop()
    centre.start()
    with connected(centre.port, centre.credentials("torchkeeper-reader")) as reader:
        reader.subscribe(topic)
        assert reader.next_topic() == topic


def takes(centre: Centre, credentials: Path) -> bool:
    try:
        with connected(centre.port, credentials):
            return True
    except REFUSED:
        return False


def next_with(user: User, payload: bytes) -> str:
    """The topic of the next message with this payload."""
    while True:
        topic, found = user.received.get(timeout=30)
        if found == payload:
            return topic
