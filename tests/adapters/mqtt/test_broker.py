"""What only a real broker can show of the connection to it."""

import asyncio
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from agent.adapters.mqtt import broker
from agent.adapters.mqtt import client as mqtt_client
from agent.adapters.mqtt.broker import Message
from agent.config import sections
from agent.config.settings import ConfigError
from tests.support import mosquitto
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import make_options, take
from tests.support.proc import PATIENCE, ROOT

WILL = Message("will", b"gone", retain=True)
HANG_UP = b"hang up"
VICTIM = """
import asyncio, sys
from agent.adapters.mqtt import broker
async def main():
    options = broker.Options(host="localhost", port=int(sys.argv[1]), client_id="victim")
    async with broker.connect(options, broker.Message("will", b"gone", True)) as connection:
        await connection.publish("alive", b"1")
        await asyncio.sleep(60)
asyncio.run(main())
"""


def from_url(url: str) -> broker.Options:
    return broker.options(sections.Mqtt(url=url), "a")


async def connect_once(options: broker.Options) -> None:
    async with broker.connect(options):
        pass


@dataclass(frozen=True)
class Script:
    """A server of a test's own, and what has happened to it."""

    options: broker.Options
    asked: asyncio.Event  # a first packet has come
    closed: asyncio.Event  # set when its client closes the connection


@asynccontextmanager
async def scripted(*answers: bytes) -> AsyncIterator[Script]:
    """A server that gives these answers, one to each packet."""
    asked, closed, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            packet = await reader.read(1000)
            asked.set()
            if answer == HANG_UP:
                break
            writer.write(answer if packet else b"")
        else:
            with suppress(ConnectionError):
                await reader.read()
            closed.set()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, asyncio.timeout(PATIENCE):
        port = server.sockets[0].getsockname()[1]
        yield Script(broker.Options(host="127.0.0.1", port=port, client_id="a"), asked, closed)
        await ended.wait()


def write_secret(folder: Path, text: str) -> str:
    path = folder / "password"
    path.write_text(text)
    return str(path)


@pytest.fixture
def real(broker: Mosquitto) -> Mosquitto:
    """The fixture `broker`, under a name that leaves the module's free."""
    return broker


@pytest.fixture
def options(real: Mosquitto) -> broker.Options:
    return make_options(real)


@pytest.mark.real
def test_the_password_is_read_at_each_connect_without_its_newline(tmp_path: Path) -> None:
    secret = write_secret(tmp_path, "wrong\n")
    with mosquitto.running(users={"gpu-07": " two words "}) as server:
        options = make_options(server, username="gpu-07", password_file=secret)

        async def story() -> None:
            with pytest.raises(broker.LoginRefused, match=r"mqtt://localhost:\d+: .*'gpu-07'.*password_file"):
                await connect_once(options)
            write_secret(tmp_path, " two words \n")
            await connect_once(options)
            write_secret(tmp_path, " two words ")
            await connect_once(replace(options, version="3.1.1"))

        asyncio.run(story())
    assert "two words" not in repr(options)


@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.real
async def test_a_wrong_password_is_distinguished_from_a_missing_broker(tmp_path: Path, version: str) -> None:
    secret = write_secret(tmp_path, "wrong")
    with mosquitto.running(users={"gpu-07": "right"}) as server:
        options = make_options(server, version=version, username="gpu-07", password_file=secret)
        with pytest.raises(broker.LoginRefused):
            await connect_once(options)
        with pytest.raises(broker.LoginRefused, match="a client without a user name"):
            await connect_once(replace(options, username="", password_file=""))
    with pytest.raises(broker.BrokerUnavailable, match=r"start the broker, or correct mqtt\.url") as caught:
        await connect_once(options)
    assert type(caught.value) is broker.BrokerUnavailable


@pytest.mark.parametrize("content", [None, b"\xff\xfe secret"])
async def test_a_password_file_that_cannot_be_read_is_named_without_its_content(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
    options = broker.Options(host="h", port=1, client_id="a", username="u", password_file=str(path))
    with pytest.raises(broker.LoginRefused, match=r"mqtt.password_file: .*/password") as caught:
        await connect_once(options)
    assert "secret" not in str(caught.value)


@pytest.mark.real
async def test_a_publish_that_the_acl_denies_is_refused_and_the_next_one_succeeds(tmp_path: Path) -> None:
    users = {"gpu-07": "x"}
    with mosquitto.running(users=users, acl=mosquitto.ACL) as server:
        options = make_options(server, username="gpu-07", password_file=write_secret(tmp_path, "x"))
        async with broker.connect(options) as connection:
            with pytest.raises(broker.PublishRefused) as caught:
                await connection.publish("torchkeeper/v1/hosts/gpu-08/status", b"{}", retain=True)
            await connection.publish("torchkeeper/v1/hosts/gpu-07/status", b"{}", retain=True)
    assert caught.value.code == broker.NOT_AUTHORIZED


@pytest.mark.real
async def test_what_is_larger_than_the_broker_takes_is_refused_and_the_connection_holds() -> None:
    with mosquitto.running(extra=["max_packet_size 2000"]) as server:
        async with broker.connect(make_options(server)) as connection:
            with pytest.raises(broker.PublishRefused) as caught:
                await connection.publish("x", b"y" * 2000)
            await connection.publish("x", b"y" * 1900)
    assert caught.value.code == broker.PACKET_TOO_LARGE


@pytest.mark.parametrize("topic", ["a\0b", "a/#", "", "x" * 70_000])
async def test_a_topic_that_cannot_be_published_to_is_refused(options: broker.Options, topic: str) -> None:
    async with broker.connect(options) as connection:
        with pytest.raises(broker.PublishRefused) as caught:
            await connection.publish(topic, b"1")
        await connection.publish("x", b"2")
    assert caught.value.code == broker.TOPIC_INVALID


@pytest.mark.real
async def test_tls_needs_the_right_authority() -> None:
    with mosquitto.running(tls=True) as server:
        options = make_options(server)
        assert options.name.startswith("mqtts://")
        await connect_once(options)
        with pytest.raises(broker.BrokerUnavailable, match=r"not signed by an authority .* set mqtt\.ca_file"):
            await connect_once(replace(options, ca_file=""))
        with pytest.raises(broker.LoginRefused, match=r"mqtt\.ca_file: /nowhere: cannot be read: No such file"):
            await connect_once(replace(options, ca_file="/nowhere"))
        with pytest.raises(broker.LoginRefused, match=r"mqtt\.cert_file: /nowhere: cannot be read: No such file"):
            await connect_once(replace(options, cert_file="/nowhere"))


@pytest.mark.real
async def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked_for_it() -> None:
    with mosquitto.running(tls=True) as server:
        key, locked = server.folder / "server.key", server.folder / "locked.key"
        command: list[str | Path] = ["openssl", "rsa", "-aes128", "-passout", "pass:secret", "-in", key, "-out", locked]
        await (await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)).wait()
        files = {"cert_file": str(server.folder / "server.crt"), "key_file": str(locked)}
        with pytest.raises(broker.LoginRefused, match="store it without a passphrase"):
            await connect_once(make_options(server, **files))


@pytest.mark.real
async def test_a_client_certificate_is_shown_where_the_broker_asks_for_one() -> None:
    with mosquitto.running(tls=True) as server:
        folder = server.folder
        with (folder / "mosquitto.conf").open("a") as stream:
            stream.write(f"require_certificate true\ncafile {server.ca_file}\n")
        server.restart()
        bare = make_options(server)
        with pytest.raises(broker.BrokerUnavailable):
            await connect_once(bare)
        pair = {"cert_file": str(folder / "server.crt"), "key_file": str(folder / "server.key")}
        await connect_once(make_options(server, **pair))


async def test_an_answer_comes_at_once_and_does_not_wait_for_more_to_send(options: broker.Options) -> None:
    """With Nagle's algorithm on this side each of these takes 45 ms or more: on a busy machine one is quick, too."""
    async with broker.connect(options) as asking, broker.connect(replace(options, client_id="b")) as answering:
        await asking.subscribe("answer")
        await answering.subscribe("question")
        took = []
        for _ in range(30):
            began = time.monotonic()
            await asking.publish("question", b"?")
            await take(answering, 1)
            await answering.publish("answer", b"!")
            await take(asking, 1)
            took.append(time.monotonic() - began)
        assert sorted(took[15:])[2] < 0.04  # seconds; the kernel lets the first ones of a connection pass at once


async def test_mqtt_3_1_1_does_all_but_reason_codes(options: broker.Options) -> None:
    async with broker.connect(replace(options, version="3.1.1"), WILL) as connection:
        await connection.publish("x", b"1", retain=True)
        await connection.subscribe("x")
        assert await take(connection, 1) == [Message("x", b"1", retain=True)]


async def test_a_killed_client_is_reported_by_its_will_at_once(options: broker.Options) -> None:
    async with broker.connect(options) as watcher:
        await watcher.subscribe("#")
        victim = await asyncio.create_subprocess_exec(sys.executable, "-c", VICTIM, str(options.port), cwd=ROOT)
        try:
            assert await take(watcher, 1) == [Message("alive", b"1")]
            victim.kill()
            killed = time.monotonic()
            assert await take(watcher, 1) == [Message("will", b"gone")]
            assert time.monotonic() - killed < options.keepalive  # without the end of the connection it is longer
        finally:
            with suppress(ProcessLookupError):
                victim.kill()
            await victim.wait()


async def test_a_broker_that_dies_fails_a_waiting_publish_at_once(real: Mosquitto) -> None:
    async with broker.connect(make_options(real)) as connection:
        real.stop_signal()
        publishing = asyncio.create_task(connection.publish("x", b"1"))
        await asyncio.sleep(0)
        real.kill()
        with pytest.raises(broker.BrokerUnavailable, match="the broker closed it"):  # and not "no answer"
            await publishing


async def test_a_frozen_broker_is_given_up_after_the_answer_time(real: Mosquitto) -> None:
    options = replace(make_options(real), answer_timeout=2.0)  # seconds, in which it must answer the connect
    async with broker.connect(options) as connection:
        real.stop_signal()
        calls = connection.publish("x", b"1"), connection.subscribe("x"), connect_once(options)
        published, subscribed, connected = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(error) for error in (published, subscribed, connected)] == [broker.BrokerUnavailable] * 3
    assert str(published) == str(subscribed) == f"{options.name}: no answer within 2 s"


async def test_waiting_for_a_silent_broker_can_be_cancelled_and_leaves_nothing_open() -> None:
    async with scripted(b"") as server:
        connecting = asyncio.create_task(connect_once(server.options))
        await server.asked.wait()
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        await server.closed.wait()


async def test_leaving_while_the_connection_opens_closes_it_when_it_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    opening, left = threading.Event(), threading.Event()

    def late(*args: Any, **keys: Any) -> socket.socket:
        opening.set()
        left.wait()
        return create(*args, **keys)

    create = socket.create_connection
    monkeypatch.setattr(socket, "create_connection", late)
    async with scripted(b"") as server:
        connecting = asyncio.create_task(connect_once(server.options))
        await asyncio.to_thread(opening.wait)
        connecting.cancel()
        left.set()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        await server.closed.wait()


async def test_a_plain_server_that_hangs_up_is_reported_without_waiting() -> None:
    async with scripted(HANG_UP) as server:
        with pytest.raises(broker.BrokerUnavailable, match="closed the connection before it answered"):
            await connect_once(server.options)


async def test_a_refused_subscription_is_reported() -> None:
    connack, suback = b"\x20\x03\x00\x00\x00", b"\x90\x04\x00\x01\x00\x87"
    async with scripted(connack, suback) as server, broker.connect(server.options) as connection:
        with pytest.raises(broker.SubscribeRefused, match="Not authorized"):
            await connection.subscribe("secret/#")


async def test_an_answer_to_a_subscription_that_comes_too_late_is_let_alone(caplog: pytest.LogCaptureFixture) -> None:
    client = mqtt_client.Client(broker.Options(host="localhost", port=1883, client_id="late"), None, None, None)
    client._on_subscribe(None, None, 7, [])
    assert caplog.records == []


async def test_a_host_name_that_does_not_resolve_is_an_unavailable_broker_and_not_a_crash() -> None:
    with pytest.raises(broker.BrokerUnavailable):
        await connect_once(broker.Options(host="a..b", port=1883, client_id="a"))


def test_options_take_the_ports_of_the_protocol_and_brackets_off_addresses() -> None:
    assert [(o.host, o.port, o.tls, o.name) for o in map(from_url, ["mqtt://h", "mqtts://h", "mqtt://[::1]:1"])] == [
        ("h", 1883, False, "mqtt://h:1883"),
        ("h", 8883, True, "mqtts://h:8883"),
        ("::1", 1, False, "mqtt://[::1]:1"),
    ]


def test_a_broker_without_an_address_is_refused_with_its_key() -> None:
    with pytest.raises(ConfigError, match=r"^mqtt\.url: is empty"):
        broker.all_options(sections.Mqtt(), "a")


def test_the_client_id_of_an_agent_has_its_name_and_eight_digits_of_its_id() -> None:
    assert broker.agent_client_id("gpu-07", "0123abcd-4567-89ab-cdef-0123456789ab") == "torchkeeper-gpu-07-0123abcd"


def test_no_client_id_has_a_dot() -> None:
    agent = broker.agent_client_id("gpu-07.lab.example", "0123abcd-4567-89ab-cdef-0123456789ab")
    assert agent == "torchkeeper-gpu-07-lab-example-0123abcd"
    assert broker.check_client_id("gpu-07.lab") == "torchkeeper-gpu-07-lab-check"


async def test_a_socket_that_is_closed_before_it_is_watched_is_let_alone() -> None:
    client = mqtt_client.Client(broker.Options(host="localhost", port=1883, client_id="late"), None, None, None)
    mine, other = socket.socketpair()
    with other:
        client._on_socket_register_write(None, None, mine)
        mine.close()
        complaints: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert complaints == []
