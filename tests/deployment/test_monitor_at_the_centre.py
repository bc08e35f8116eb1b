"""The real monitor, with the configuration and the rights that the centre gives it."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from agent.core.protocol import payloads
from tests.deployment.centre import Centre
from tests.deployment.files import CONFIG
from tests.deployment.mqtt_user import connected
from tests.support import mosquitto, proc
from tests.support.messages import make_decision, make_status

pytestmark = pytest.mark.real

TOKEN = "0123456789abcdef" * 4
HOSTS = "torchkeeper/v1/hosts/gpu-07"


class Api:
    """What a program with the viewer's token is told."""

    def __init__(self, port: int) -> None:
        self._port = port

    def get(self, path: str, token: str = TOKEN) -> tuple[int, str]:
        """The status and the text of an answer; status 0 while nothing answers."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}{path}", headers={"Authorization": f"Bearer {token}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def document(self, path: str) -> dict[str, Any]:
        status, text = self.get(path)
        return dict(json.loads(text)) if status == 200 else {}


@pytest.fixture(scope="module")
def api(centre: Centre, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The monitor, connected."""
    folder, port = tmp_path_factory.mktemp("monitor"), mosquitto.free_port()
    token, config = folder / "viewer_token", folder / "monitor.toml"
    token.write_text(TOKEN)
    text = (CONFIG / "compose/monitor.toml").read_text().replace("mqtts://mosquitto:8883", centre.url)
    text = text.replace("/etc/torchkeeper/credentials", str(centre.credentials("torchkeeper-monitor")))
    text = text.replace("/run/secrets/viewer_token", str(token)).replace("0.0.0.0:9478", f"127.0.0.1:{port}")
    config.write_text(text.replace("[monitor]\n", f'[monitor]\ndatabase = "sqlite:///{folder}/fleet.db"\n'))
    api = Api(port)
    with proc.agent(verb="monitor", folder=folder, config=config, ready=lambda: "connected" in api.get("/healthz")[1]):
        yield api


def test_it_shows_what_a_host_reports_and_acknowledges_the_event(api: Api, centre: Centre) -> None:
    with connected(centre.port, centre.credentials("gpu-07")) as host:
        host.subscribe("torchkeeper/v1/control/gpu-07/ack")
        host.publish(f"{HOSTS}/status", make_status(at=datetime.now(UTC)).encode().decode(), retain=True)
        event = make_decision(at=datetime.now(UTC))
        host.publish(f"{HOSTS}/events", event.encode().decode())
        acknowledged = payloads.decode(payloads.Ack, host.received.get(timeout=proc.PATIENCE)[1])
    assert acknowledged is not None
    assert (acknowledged.epoch, acknowledged.seq) == (event.data["epoch"], event.data["seq"])
    hosts = proc.eventually(lambda: api.document("/api/hosts").get("hosts", []))
    assert [row["host"] for row in hosts] == ["gpu-07"]


def test_prometheus_gets_the_metrics_with_the_token_and_nobody_without_it(api: Api) -> None:
    status, text = api.get("/metrics")
    assert (status, "torchkeeper_monitor_broker_connected 1" in text) == (200, True)
    assert api.get("/api/hosts", token="f" * 64)[0] == 401
