"""A host that logs in with a certificate: it warns before that expires, and uses a renewed one. No engine runs here."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import mosquitto, proc, secured_broker
from tests.support.certificates import Pair
from tests.support.secured_broker import SecuredBroker

CONNECTED = "connected to the broker"


pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    with secured_broker.running(tmp_path_factory.mktemp("tls"), mosquitto.ACL) as running:
        yield running


class Host:
    """A host named gpu-07, whose own certificate is in `pair`."""

    def __init__(self, secured: SecuredBroker, folder: Path) -> None:
        self.folder = folder
        self.secured = secured
        self.pair = Pair(folder / "host.crt", folder / "host.key")
        self.config = folder / "torchkeeper.toml"
        self.pair.replace_with(secured.authority.issue("gpu-07", days=5, file="soon"))
        self.pair.key.chmod(0o600)
        self.configure()

    def configure(self, **mqtt: str) -> None:
        agent = {"host": "gpu-07", "state_dir": self.folder / "state"}
        docker = {"url": f"unix://{self.folder}/no.sock"}
        keys = self.secured.keys(**self.pair.keys(), **mqtt)
        proc.write_config(self.config, agent=agent, docker=docker, mqtt=keys)

    def log(self) -> str:
        path = self.folder / "run.log"
        return path.read_text() if path.exists() else ""

    def checks(self) -> dict[str, dict[str, Any]]:
        done = proc.torchkeeper("check", "--json", config=self.config)
        return {item["name"]: item for item in json.loads(done.stdout)["checks"]}


@pytest.fixture
def host(secured: SecuredBroker, tmp_path: Path) -> Host:
    return Host(secured, tmp_path)


def test_a_renewed_certificate_is_used_at_a_hangup_and_ends_the_warning(host: Host) -> None:
    found = host.checks()
    assert (found["broker"]["ok"], found["certificate"]["ok"]) == (True, True)
    assert f"mqtt.cert_file, {host.pair.cert}, expires on " in found["certificate"]["detail"]
    assert found["certificate"]["hint"].startswith("issue a new certificate")
    with proc.agent(folder=host.folder, config=host.config, ready=lambda: CONNECTED in host.log()) as agent:
        proc.eventually(lambda: "mqtt.cert_file expires on " in host.log())
        host.pair.replace_with(host.secured.authority.issue("gpu-07", days=90, file="renewed"))
        agent.send_signal(signal.SIGHUP)
        proc.eventually(lambda: host.log().count(CONNECTED) == 2)
    assert "the files of certificates or the password changed; connecting again" in host.log()
    assert "not reachable" not in host.log()


def test_each_check_of_a_wrong_set_up_says_what_to_do(host: Host, tmp_path: Path) -> None:
    """The table of what `check` says; `tests/adapters/mqtt/test_tls.py` has every failure."""
    missing = str(tmp_path / "gone.crt")
    for keys, detail, hint in (
        ({"ca_file": missing}, f"mqtt.ca_file: {missing}: cannot be read: No such file", "correct mqtt.ca_file"),
        (
            {"url": f"mqtts://localhost:{host.secured.plain_port}"},
            "does not answer in TLS",
            "write mqtt:// in mqtt.url",
        ),
        ({"url": f"mqtts://localhost:{mosquitto.free_port()}"}, "Connection refused", "start the broker, or correct"),
    ):
        host.configure(**keys)
        found = host.checks()["broker"]
        assert not found["ok"]
        assert detail in found["detail"]
        assert hint in found["hint"]
