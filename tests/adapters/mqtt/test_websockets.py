"""MQTT over WebSockets, with and without TLS, against a real server; and what is said where there is none."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.adapters.mqtt import broker
from agent.adapters.mqtt.broker import Message
from agent.config import sections
from tests.support import nats
from tests.support.mqtt import take
from tests.support.nats import Nats
from tests.support.proc import PATIENCE

USERS = {"gpu-07": "secret", "collector": "secret"}
TOPIC = "torchkeeper/v1/hosts/gpu-07/events"
LARGE = bytes(range(256)) * 800  # over the 64 kB at which a frame's header changes its form

pytestmark = pytest.mark.real


@pytest.fixture(scope="module", params=[False, True], ids=["ws", "wss"])
def server(request: pytest.FixtureRequest) -> Iterator[Nats]:
    with nats.running(USERS, tls=request.param) as running:
        yield running


def make_settings(server: Nats, folder: Path, user: str = "gpu-07", **keys: str) -> sections.Mqtt:
    (folder / "password").write_text("secret")
    given = {"url": server.websocket_url, "username": user, "password_file": str(folder / "password")}
    ca = {"ca_file": str(server.ca_file)} if server.ca_file else {}
    return sections.Mqtt.model_validate({**given, **ca, "version": "3.1.1", **keys})


async def test_an_agents_messages_reach_a_collector_large_ones_and_many(server: Nats, tmp_path: Path) -> None:
    sent = [b"first", LARGE, *(str(number).encode() for number in range(300))]
    collecting = broker.collector_options(make_settings(server, tmp_path, "collector"), "main")
    async with broker.collector_connector(collecting)(None) as collector:
        await collector.subscribe(TOPIC)
        async with broker.connect(broker.options(make_settings(server, tmp_path), "agent")) as agent:
            assert agent.peer == f"{server.websocket_url}, MQTT 3.1.1"
            assert (agent.certificate_expires is not None) == bool(server.ca_file)
            await asyncio.gather(*(agent.publish(TOPIC, payload) for payload in sent))
        heard: list[bytes] = []
        async with asyncio.timeout(PATIENCE):
            while len(heard) < len(sent):
                taken = await collector.take(100, 10_000_000)
                collector.acknowledge(taken)
                heard += [delivery.payload for delivery in taken]
    assert heard == sent


async def test_an_agent_hears_its_own_status_and_its_will_is_published(server: Nats, tmp_path: Path) -> None:
    status = TOPIC.replace("events", "status")
    async with broker.connect(broker.options(make_settings(server, tmp_path, "collector"), "watcher")) as watcher:
        await watcher.subscribe(status)
        options = broker.options(make_settings(server, tmp_path), "agent")
        async with broker.connect(options, Message(status, b"gone")) as agent:
            await agent.publish(status, b"here")
            agent._client._client._sock._socket.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]
            assert [message.payload for message in await take(watcher, 2)] == [b"here", b"gone"]


async def failure(settings: sections.Mqtt) -> broker.BrokerUnavailable:
    with pytest.raises(broker.BrokerUnavailable) as caught:
        async with broker.connect(broker.options(settings, "a")):
            pass
    return caught.value


async def test_another_path_is_named_not_taken_for_a_broker_that_is_down(server: Nats, tmp_path: Path) -> None:
    url = server.websocket_url.replace("/mqtt", "/other")
    error = await failure(make_settings(server, tmp_path, url=url))
    said = str(error)
    assert said.startswith(f"{url}: ")
    assert "start the broker" not in said


async def test_a_server_that_is_no_websocket_is_named(server: Nats, tmp_path: Path) -> None:
    kind = server.websocket_url.partition(":")[0]
    url = f"{kind}://localhost:{server.port}/mqtt"  # MQTT without WebSockets
    error = await failure(make_settings(server, tmp_path, url=url))
    assert error.detail == f"{url}: it does not accept MQTT over WebSockets there"
    assert error.hint == "check the port and the path in mqtt.url; the path is often /mqtt"


async def test_a_wrong_password_is_told_apart(server: Nats, tmp_path: Path) -> None:
    settings = make_settings(server, tmp_path)
    (tmp_path / "password").write_text("wrong")
    assert isinstance(await failure(settings), broker.LoginRefused)


def test_addresses_with_websockets_have_the_ports_of_the_web_and_a_path() -> None:
    urls = ["ws://h", "wss://h", "wss://h/mqtt", "ws://[::1]:9001/a/b", "wss://h:8443/"]
    options = [broker.options(sections.Mqtt(url=url), "a") for url in urls]
    assert [(item.port, item.tls, item.path, item.name) for item in options] == [
        (80, False, "/", "ws://h:80/"),
        (443, True, "/", "wss://h:443/"),
        (443, True, "/mqtt", "wss://h:443/mqtt"),
        (9001, False, "/a/b", "ws://[::1]:9001/a/b"),
        (8443, True, "/", "wss://h:8443/"),
    ]
