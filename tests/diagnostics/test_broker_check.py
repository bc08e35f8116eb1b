"""`check` proves at each address that what the host publishes comes back on its topic, and changes nothing there."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.adapters.mqtt import broker as mqtt
from agent.adapters.mqtt.broker import Message
from agent.config import sections
from agent.core.protocol.topics import Topics
from agent.diagnostics import broker_check
from agent.diagnostics.broker_check import Finding
from tests.support import mosquitto
from tests.support.fakes.broker import FakeBroker
from tests.support.messages import make_status
from tests.support.mosquitto import Mosquitto

STATUS = "torchkeeper/v1/hosts/gpu-07/status"
ONLINE = make_status("online").encode()


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker with the ACL of the README."""
    with mosquitto.running(users={"gpu-07": "secret"}, acl=mosquitto.ACL) as server:
        yield server


def make_settings(server: Mosquitto, folder: Path, **keys: object) -> sections.Mqtt:
    """To log in as gpu-07."""
    (folder / "password").write_text("secret")
    given = {"url": server.url, "username": "gpu-07", "password_file": str(folder / "password")}
    return sections.Mqtt.model_validate(given | keys)


async def find(settings: sections.Mqtt, host: str = "gpu-07") -> Finding:
    (found,) = await broker_check.run(settings, host)
    return found


@asynccontextmanager
async def running_agent(settings: sections.Mqtt) -> AsyncIterator[mqtt.Connection]:
    """A client that has published its status and hears what is said about it."""
    will = Message(STATUS, make_status("offline").encode(), retain=True)
    async with mqtt.connect(mqtt.options(settings, "agent"), will) as connection:
        await connection.publish(STATUS, ONLINE, retain=True)
        await connection.subscribe(STATUS)
        yield connection


async def heard(connection: mqtt.Connection, until: bytes) -> list[Message]:
    """All messages, up to one that is published now."""
    await connection.publish(STATUS, until)
    taken = []
    async for message in connection.messages():
        if message.payload == until:
            break
        taken.append(message)
    return taken


@pytest.mark.real
async def test_the_status_of_a_running_agent_comes_back_and_stays(secured: Mosquitto, tmp_path: Path) -> None:
    settings = make_settings(secured, tmp_path)
    async with running_agent(settings) as agent:
        found = await find(settings)
        statuses = await heard(agent, b"end")
    expected = f"{secured.url}, MQTT 5: connected, and what is published on {STATUS} comes back"
    assert found == Finding(True, expected)
    assert statuses == [Message(STATUS, ONLINE, retain=True), Message(STATUS, ONLINE)]
    assert await retained(settings) == [ONLINE]


async def retained(settings: sections.Mqtt) -> list[bytes]:
    async with mqtt.connect(mqtt.options(settings, "reader")) as reader:
        await reader.subscribe(STATUS)
        return [message.payload for message in await heard(reader, b"end")]


@pytest.mark.real
async def test_where_no_agent_ran_nothing_is_left(secured: Mosquitto, tmp_path: Path) -> None:
    settings = make_settings(secured, tmp_path, version="3.1.1")
    assert (await find(settings)).ok
    assert await retained(settings) == []


@pytest.mark.real
@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize("right", ["write", "read"])
async def test_a_right_that_is_missing_is_named(tmp_path: Path, version: str, right: str) -> None:
    """With 3.1.1 the broker does not say that it denies something; a message that does not come back shows it."""
    lines = [
        line for line in mosquitto.ACL.splitlines() if not line.startswith(f"pattern {right} torchkeeper/v1/hosts")
    ]
    with mosquitto.running(users={"gpu-07": "secret"}, acl="\n".join([*lines, ""])) as server:
        ok, detail, hint = await find(make_settings(server, tmp_path, version=version))
    assert not ok
    assert detail.startswith(server.url)
    assert hint == (
        "let the user write to torchkeeper/v1/hosts/gpu-07/# and read torchkeeper/v1/hosts/gpu-07/status;"
        " docs/mqtt.md has an ACL"
    )


@pytest.mark.real
async def test_a_user_with_another_name_than_the_host_is_named(secured: Mosquitto, tmp_path: Path) -> None:
    found = await find(make_settings(secured, tmp_path), "gpu-08")
    assert not found.ok
    assert found.hint.endswith(
        "the login is 'gpu-07' but the host is 'gpu-08': with that ACL both names must be the same,"
        " so set mqtt.username to 'gpu-08' or agent.host to 'gpu-07'"
    )


async def test_each_address_is_tried_and_reported(broker: Mosquitto) -> None:
    dead = f"mqtt://127.0.0.1:{mosquitto.free_port()}"
    found = await broker_check.run(sections.Mqtt(url=(dead, broker.url)), "gpu-07")
    assert [item.ok for item in found] == [False, True]
    assert found[0].detail.startswith(f"{dead}: [Errno 111] Connection refused")
    assert found[1].detail.startswith(f"{broker.url}, MQTT 5: connected")


class DotsAreLevels(FakeBroker):
    """As RabbitMQ: it takes a dot in a topic for another level, and passes the message on with a slash."""

    def route(self, message: Message) -> None:
        for client in self._clients.values():
            client.deliver(message, message.topic.replace(".", "/"))


@pytest.mark.parametrize(
    ("host", "prefix", "arrives", "instead"),
    [
        ("gpu-08.lab", "a", "a/v1/hosts/gpu-08/lab/status", 'agent.host = "gpu-08-lab"'),
        ("gpu-08", "site/a.1", "site/a/1/v1/hosts/gpu-08/status", 'mqtt.prefix = "site/a-1"'),
    ],
)
async def test_a_dot_that_the_broker_takes_for_a_level_is_found_out(
    monkeypatch: pytest.MonkeyPatch, host: str, prefix: str, arrives: str, instead: str
) -> None:
    server = DotsAreLevels()
    monkeypatch.setattr(mqtt, "connect", lambda options: server.connect(options.client_id))
    found = await find(sections.Mqtt(url="mqtt://fake", prefix=prefix), host)
    topic = Topics(prefix, host).status
    hint = f"NATS and RabbitMQ take a dot for another level of the topic; set {instead}"
    assert found == Finding(False, f"fake, MQTT 5: what is published on {topic} arrives on {arrives}", hint)


async def test_a_dot_is_warned_of_where_it_works_too(broker: Mosquitto) -> None:
    found = await find(sections.Mqtt(url=broker.url, prefix="site/a.1"), "gpu-08.lab")
    assert found.ok
    assert found.hint.endswith('set agent.host = "gpu-08-lab" and mqtt.prefix = "site/a-1"')


async def test_a_broker_that_ends_the_connection_over_a_dot_gets_the_hint_as_well() -> None:
    dead = f"mqtt://127.0.0.1:{mosquitto.free_port()}"
    found = await find(sections.Mqtt(url=dead), "gpu-08.lab")
    assert not found.ok
    assert "start the broker" in found.hint
    assert found.hint.endswith('set agent.host = "gpu-08-lab"')
