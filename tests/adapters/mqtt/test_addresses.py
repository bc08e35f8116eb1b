"""Which address and which version of MQTT are tried, and what is said where nothing works."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

import pytest

from agent.adapters.mqtt import broker
from agent.adapters.mqtt.addresses import Addresses
from agent.adapters.mqtt.client import Client
from agent.config import sections
from tests.support import mosquitto
from tests.support.mosquitto import Mosquitto

HUNG_UP, SILENT = b"hang up", b""
REFUSED_AS_OLDER = b"\x20\x02\x00\x01"  # CONNACK of a broker that knows 3.1.1 alone
REFUSED = b"\x20\x03\x00\x84\x00"  # CONNACK with the reason code 132
ACCEPTED = {4: b"\x20\x02\x00\x00", 5: b"\x20\x03\x00\x00\x00"}
NEWER, OLDER = 5, 4  # as the CONNECT has them


@dataclass
class Peer:
    """A server that answers each CONNECT by its version, and notes them."""

    answers: dict[int, bytes]
    port: int = 0
    tried: list[int] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with suppress(ConnectionError):
            if packet := await reader.read(1000):
                version = packet[packet.index(b"MQTT") + 4] if b"MQTT" in packet else 3
                self.tried.append(version)
                answer = self.answers.get(version, HUNG_UP)
                if answer != HUNG_UP:
                    writer.write(answer)
                    await reader.read()
        writer.close()


@asynccontextmanager
async def serving(peer: Peer) -> AsyncIterator[Peer]:
    """The peer, on a port that it keeps over several servings."""
    server = await asyncio.start_server(peer.serve, "127.0.0.1", peer.port)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()
        for writer in peer.writers:
            writer.close()
        await server.wait_closed()


@pytest.fixture
def server_without_tls(broker: Mosquitto) -> Mosquitto:
    return broker


def older(answer: bytes) -> Peer:
    """A broker that does not speak 5."""
    return Peer({NEWER: answer, OLDER: ACCEPTED[OLDER]})


def newer() -> Peer:
    return Peer(dict(ACCEPTED))


def make_addresses(*peers: Peer, version: str = "auto") -> Addresses[Client]:
    """The peers' addresses, in this order. Where one of them says nothing, nobody waits ten seconds for it."""
    patience = 2.0 if any(SILENT in peer.answers.values() for peer in peers) else 20.0
    several = [replace(options, answer_timeout=patience) for options in options_of(*peers, version=version)]
    return Addresses(several, Client)


def options_of(*peers: Peer, version: str = "auto") -> tuple[broker.Options, ...]:
    mqtt = sections.Mqtt.model_validate({"url": [peer.url for peer in peers], "version": version})
    return broker.all_options(mqtt, "a")


async def peer_of(addresses: Addresses[Client]) -> str:
    """Connect once; the broker and the version in use, or why there is none."""
    try:
        client = await addresses.open(None)
    except broker.BrokerUnavailable as error:
        return str(error)
    client.close()
    return client.peer


# Versions


async def test_version_5_is_tried_first_and_kept() -> None:
    async with serving(newer()) as peer:
        addresses = make_addresses(peer)
        assert [await peer_of(addresses) for _ in range(2)] == [f"{peer.url}, MQTT 5"] * 2
    assert peer.tried == [NEWER, NEWER]


@pytest.mark.parametrize("answer", [REFUSED, REFUSED_AS_OLDER, HUNG_UP, SILENT])
async def test_a_broker_that_does_not_speak_5_gets_3_1_1_and_that_is_remembered(answer: bytes) -> None:
    async with serving(older(answer)) as peer:
        addresses = make_addresses(peer)
        assert [await peer_of(addresses) for _ in range(3)] == [f"{peer.url}, MQTT 3.1.1"] * 3
    assert peer.tried == [NEWER, OLDER, OLDER, OLDER]


@pytest.mark.parametrize("ill", [HUNG_UP, SILENT])
async def test_a_broker_that_was_ill_or_down_gets_5_again(ill: bytes) -> None:
    peer = older(ill)
    async with serving(peer):
        addresses = make_addresses(peer)
        assert await peer_of(addresses) == f"{peer.url}, MQTT 3.1.1"
        peer.answers = dict.fromkeys((NEWER, OLDER), ill)
        assert "is it an MQTT broker" in await peer_of(addresses)
        peer.answers = dict(ACCEPTED)
        assert await peer_of(addresses) == f"{peer.url}, MQTT 5"
        peer.answers = {NEWER: ill, OLDER: ACCEPTED[OLDER]}
        assert await peer_of(addresses) == f"{peer.url}, MQTT 3.1.1"
    assert "Connection refused" in await peer_of(addresses)
    peer.answers = dict(ACCEPTED)
    async with serving(peer):
        assert await peer_of(addresses) == f"{peer.url}, MQTT 5"


async def test_a_refused_login_is_not_taken_for_an_older_version() -> None:
    async with serving(Peer({NEWER: b"\x20\x03\x00\x87\x00"})) as peer:
        assert "the broker refused a client without a user name" in await peer_of(make_addresses(peer))
    assert peer.tried == [NEWER]


@pytest.mark.parametrize(("version", "tried"), [("5", NEWER), ("3.1.1", OLDER)])
async def test_a_version_that_is_set_is_the_only_one_tried(version: str, tried: int) -> None:
    async with serving(Peer({NEWER: HUNG_UP, OLDER: HUNG_UP})) as peer:
        addresses = make_addresses(peer, version=version)
        assert "closed the connection before it answered" in await peer_of(addresses)
        assert "closed the connection before it answered" in await peer_of(addresses)
    assert peer.tried == [tried, tried]


async def test_a_version_that_is_set_and_not_spoken_is_named() -> None:
    async with serving(older(REFUSED)) as peer:
        said = await peer_of(make_addresses(peer, version="5"))
    assert said == f"{peer.url}: the broker does not speak MQTT 5; see mqtt.version"


async def test_a_broker_that_speaks_no_known_version_does_not_block_the_loop() -> None:
    async with serving(Peer({NEWER: REFUSED, OLDER: REFUSED_AS_OLDER})) as peer:
        assert "closed the connection before it answered" in await peer_of(make_addresses(peer))
    assert peer.tried == [NEWER, OLDER]


# Several addresses


async def test_the_next_address_is_tried_at_each_failure_and_kept_while_it_works() -> None:
    async with serving(newer()) as a, serving(newer()) as b, serving(newer()) as c:
        addresses = make_addresses(a, b, c)
        assert await peer_of(addresses) == await peer_of(addresses) == f"{a.url}, MQTT 5"
        a.answers = dict.fromkeys((NEWER, OLDER), HUNG_UP)
        assert await peer_of(addresses) == await peer_of(addresses) == f"{b.url}, MQTT 5"
        b.answers = c.answers = a.answers
        failed = await peer_of(addresses)
    assert [part.partition(": ")[0] for part in failed.split("; mqtt")] == [b.url, c.url[4:], a.url[4:]]


async def test_a_connection_that_is_lost_continues_with_the_next_address() -> None:
    async with serving(newer()) as a, serving(newer()) as b:
        connect = broker.connector(options_of(a, b), shuffle=lambda several: None)
        with pytest.raises(broker.BrokerUnavailable):
            await be_cut_off(connect, a)
        async with connect(None) as connection:
            assert connection.peer == f"{b.url}, MQTT 5"


async def be_cut_off(connect: broker.Connect, peer: Peer) -> None:
    async with connect(None) as connection:
        peer.writers[-1].close()
        await connection.publish("x", b"1")


async def test_the_addresses_are_shuffled_once() -> None:
    shuffled: list[list[str]] = []

    def reverse(several: list[broker.Options]) -> None:
        shuffled.append([options.name for options in several])
        several.reverse()

    async with serving(newer()) as a, serving(newer()) as b:
        connect = broker.connector(options_of(a, b), shuffle=reverse)
        for _ in range(2):
            async with connect(None) as connection:
                assert connection.peer == f"{b.url}, MQTT 5"
    assert shuffled == [[a.url, b.url]]


async def test_a_fleet_spreads_over_the_addresses() -> None:
    used = set()
    async with serving(newer()) as a, serving(newer()) as b:
        for _ in range(30):
            async with broker.connector(options_of(a, b))(None) as connection:
                used.add(connection.peer)
    assert len(used) == 2


async def test_a_name_with_several_addresses_works_where_the_first_one_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(newer()) as peer:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{end}", peer.port)) for end in (11, 12, 1)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: found)
        mqtt = sections.Mqtt(url=f"mqtt://brokers.test:{peer.port}")
        async with broker.connect(broker.options(mqtt, "a")) as connection:
            assert connection.peer == f"mqtt://brokers.test:{peer.port}, MQTT 5"


async def test_each_address_has_its_own_version() -> None:
    async with serving(older(REFUSED)) as a, serving(newer()) as b:
        addresses = make_addresses(a, b)
        assert await peer_of(addresses) == f"{a.url}, MQTT 3.1.1"
        a.answers = dict.fromkeys((NEWER, OLDER), HUNG_UP)
        assert await peer_of(addresses) == f"{b.url}, MQTT 5"


# What is there instead


@pytest.mark.parametrize(
    ("greeting", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it answers 'HTTP/1.1 400 Bad Request', which is not MQTT; is the port"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "it answers 'SSH-2.0-OpenSSH_9.2', which is not MQTT; is the port in mqtt.url"),
        (b"\x15\x03\x01\x00\x02\x02\x0a", "it answers in TLS; write mqtts:// in mqtt.url"),
        (b"\xff", "it answers '\ufffd', which is not MQTT"),
    ],
)
async def test_a_server_that_is_not_a_broker_is_named(greeting: bytes, said: str) -> None:
    async with serving(Peer({NEWER: greeting})) as peer:
        assert f"{peer.url}: {said}" in await peer_of(make_addresses(peer))
    assert peer.tried == [NEWER]


async def test_a_port_that_says_nothing_is_named_with_what_it_may_be() -> None:
    async with serving(Peer({NEWER: SILENT, OLDER: SILENT})) as peer:
        said = await peer_of(make_addresses(peer))
    assert said == (
        f"{peer.url}: it accepts connections but does not answer; is it an MQTT broker without TLS"
        " (with TLS, write mqtts://)?"
    )


@pytest.mark.real
async def test_tls_to_a_port_without_it_and_the_reverse_are_guessed(server_without_tls: Mosquitto) -> None:
    plain = server_without_tls
    said = await peer_of_url(f"mqtts://localhost:{plain.port}")
    assert said.endswith("its port does not answer in TLS; write mqtt:// in mqtt.url, or the broker's TLS port")
    with mosquitto.running(tls=True) as server:
        assert "without TLS (with TLS, write mqtts://)?" in await peer_of_url(f"mqtt://localhost:{server.port}")


@pytest.mark.real
async def test_a_certificate_that_proves_nothing_is_distinguished_from_a_broker_that_is_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with mosquitto.running(tls=True) as server, mosquitto.running(tls=True) as other:
        unknown = await peer_of_url(server.url)
        foreign = await peer_of_url(server.url, ca_file=str(other.ca_file))
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: found)
        misnamed = await peer_of_url(f"mqtts://brokers.test:{server.port}", ca_file=str(server.ca_file))
    assert f"{server.url}: its certificate is not signed by an authority that this system trusts (" in unknown
    assert unknown.endswith("); set mqtt.ca_file to the certificate of your own authority")
    assert f"its certificate is not signed by an authority in mqtt.ca_file, {other.ca_file} (" in foreign
    assert "its certificate is not valid for the name 'brokers.test'; write a name in mqtt.url" in misnamed
    assert not any("start the broker" in said for said in (unknown, foreign, misnamed))


async def peer_of_url(url: str, **keys: str) -> str:
    mqtt = sections.Mqtt.model_validate({"url": url, **keys})
    return await peer_of(Addresses(broker.all_options(mqtt, "a"), Client))
