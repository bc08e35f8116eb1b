"""What goes over the socket, and what comes back when it breaks: a server that answers as a test says."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from agent.adapters import docker, docker_client
from agent.adapters.docker import DockerEngine
from agent.adapters.engine import EngineDown, EngineError, EngineUnavailable, NotFound

CID = "c" * 64
DROP = None  # an answer: the connection ends without one
Answer = bytes | None


def answer(body: object, status: int = 200) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


class Server:
    """Answers by path; `calls` is every request that came, in order."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.connections = 0
        self.soon: dict[str, list[Answer]] = {}  # the next ones of a path, before that in `answers`
        self.answers: dict[str, Answer] = {
            "version": answer({"ApiVersion": "1.41", "Version": "20.10.24"}),
            "info": answer({"ID": "engine", "Driver": "overlay2"}),
        }

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                method, target, _ = head.decode().split(" ", 2)
                self.calls.append(f"{method} {target}")
                path = urlsplit(target).path.removeprefix("/").removeprefix("v1.41/")
                told = self.soon[path].pop(0) if self.soon.get(path) else self.answers[path]
                if told is DROP:
                    return
                writer.write(told)
                if told and b"connection: close" in head.lower():
                    return
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    def calls_of(self, method: str) -> list[str]:
        return [call for call in self.calls if call.startswith(method) and "version" not in call and "info" not in call]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    made = Server()
    async with await asyncio.start_unix_server(made.serve, tmp_path / "engine.sock"):
        yield made


@pytest.fixture
async def engine(server: Server, tmp_path: Path) -> AsyncIterator[DockerEngine]:
    made = DockerEngine(f"unix://{tmp_path}/engine.sock")
    await made.connect()
    yield made
    await made.close()


@pytest.mark.parametrize("act", [DockerEngine.untag, DockerEngine.delete], ids=["untag", "delete"])
async def test_a_removal_whose_connection_drops_is_never_sent_twice(
    server: Server, engine: DockerEngine, act: Callable[[DockerEngine, str], AsyncIterator[None]]
) -> None:
    server.answers["images/team/torch:1"] = DROP
    with pytest.raises(EngineUnavailable):
        await act(engine, "team/torch:1")  # type: ignore[misc]
    assert server.calls_of("DELETE") == ["DELETE /v1.41/images/team/torch:1?noprune=1"]


async def test_a_question_whose_connection_drops_is_asked_once(server: Server, engine: DockerEngine) -> None:
    server.answers["images/team/torch:1/json"] = DROP
    with pytest.raises(EngineUnavailable):
        await engine.image_id("team/torch:1")
    assert server.calls_of("GET") == ["GET /v1.41/images/team/torch:1/json"]


async def test_each_call_has_a_connection_of_its_own(server: Server, engine: DockerEngine) -> None:
    server.answers["_ping"] = answer(b"OK")
    before = server.connections
    for _ in range(3):
        await engine.ping()
    assert server.connections - before == 3


# Whether the engine runs


@pytest.mark.parametrize("there", [True, False], ids=["nobody listens", "no socket"])
async def test_an_engine_whose_socket_nobody_serves_is_down(tmp_path: Path, there: bool) -> None:
    path = tmp_path / "engine.sock"
    if there:
        listening = await asyncio.start_unix_server(Server().serve, path)
        listening.close()
        await listening.wait_closed()
        assert path.exists()
    with pytest.raises(EngineDown):
        await DockerEngine(f"unix://{path}").connect()


async def test_an_engine_behind_a_network_is_never_known_to_be_down() -> None:
    with pytest.raises(EngineUnavailable) as raised:
        await DockerEngine("tcp://127.0.0.1:1").connect()
    assert not isinstance(raised.value, EngineDown)


async def test_an_engine_that_drops_the_connection_is_not_known_to_be_down(
    server: Server, engine: DockerEngine
) -> None:
    server.answers["_ping"] = DROP
    with pytest.raises(EngineUnavailable) as raised:
        await engine.ping()
    assert not isinstance(raised.value, EngineDown)


async def test_a_ping_is_given_up_after_its_time(
    server: Server, engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker, "PING_TIMEOUT", 0.1)
    server.answers["_ping"] = b""
    with pytest.raises(EngineUnavailable, match="no answer to GET /_ping in time"):
        await engine.ping()


# Answers that cannot be read


@pytest.mark.parametrize("body", [b"{half", b"{}", b"[]", b"null"])
async def test_an_error_that_cannot_be_read_is_an_engine_that_is_not_available(
    server: Server, engine: DockerEngine, body: bytes
) -> None:
    server.answers["images/json"] = answer(body, 500)
    with pytest.raises(EngineUnavailable):
        await engine.images({})


@pytest.mark.parametrize("row", [{}, None, [], "row"])
@pytest.mark.parametrize("kind", ["images", "containers"])
async def test_a_row_that_cannot_be_read_makes_the_list_an_error(
    server: Server, engine: DockerEngine, kind: str, row: object
) -> None:
    server.answers[f"{kind}/json"] = answer([row])
    with pytest.raises(EngineUnavailable):
        await getattr(engine, kind)({})


async def test_an_answer_without_its_image_is_an_error(server: Server, engine: DockerEngine) -> None:
    server.answers[f"containers/{CID}/json"] = answer({"Id": CID})
    with pytest.raises(EngineUnavailable):
        await engine.container_image(CID)


async def test_a_reference_that_is_not_there_is_not_found(server: Server, engine: DockerEngine) -> None:
    server.answers["images/gone:1/json"] = answer({"message": "No such image"}, 404)
    for ask in (engine.named, engine.layers):
        with pytest.raises(NotFound):
            await ask("gone:1")


# The ring


@pytest.mark.parametrize("ahead", [timedelta(minutes=5), timedelta(minutes=-5)], ids=["ahead", "behind"])
async def test_the_ring_is_read_up_to_now_by_the_engines_own_clock(
    server: Server, engine: DockerEngine, ahead: timedelta
) -> None:
    time = datetime.now(UTC) + ahead
    written = time.isoformat().replace("+00:00", "Z")
    server.answers["info"] = answer({"ID": "engine", "Driver": "overlay2", "SystemTime": written})
    server.answers["events"] = answer(b"")
    await engine.connect()
    await engine.ring()
    until = float(parse_qs(urlsplit(server.calls[-1]).query)["until"][0])
    assert time.timestamp() <= until <= (datetime.now(UTC) + ahead).timestamp()


# Lists


NO_LISTS = {
    "404": answer({"message": "x"}, 404),
    "500": answer({"message": "x"}, 500),
    "half": answer(b"[{"),
    "no list": answer({"message": "ok"}),
    "null": answer(None),
}


@pytest.mark.parametrize("path", ["images/json", "containers/json"])
@pytest.mark.parametrize("told", NO_LISTS.values(), ids=NO_LISTS.keys())
async def test_a_list_that_fails_is_never_an_empty_one(
    server: Server, engine: DockerEngine, monkeypatch: pytest.MonkeyPatch, path: str, told: bytes
) -> None:
    monkeypatch.setattr(docker_client, "LIST_PAUSE", 0.0)
    server.answers[path] = told
    with pytest.raises(EngineError):
        await (engine.images({}) if path == "images/json" else engine.containers({}))


async def test_a_list_that_answers_404_for_a_moment_is_asked_again(
    server: Server, engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_client, "LIST_PAUSE", 0.0)
    server.soon["images/json"] = [NO_LISTS["404"]] * 2
    server.answers["images/json"] = answer([])
    assert await engine.images({}) == []
    assert len(server.calls_of("GET")) == 3
