"""What goes over the socket, and what comes back when it breaks: a server that answers as a test says."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from agent.adapters.docker import listener
from agent.adapters.docker.engine import DockerEngine
from agent.adapters.docker.timeouts import DockerTimeouts
from agent.adapters.engine import EngineDown, EngineError, EngineUnavailable, NotFound
from agent.core.model import Container

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
    made = DockerEngine(f"unix://{tmp_path}/engine.sock", DockerTimeouts(list_pause=0.0))
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


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[DockerEngine]:
    """An engine that is connected; nobody listens any more when the block ends."""
    listening = await asyncio.start_unix_server(Server().serve, path)
    engine = DockerEngine(f"unix://{path}")
    try:
        await engine.connect()
        yield engine
    finally:
        listening.close()
        await listening.wait_closed()


async def failure(engine: DockerEngine) -> type[BaseException]:
    """How a connection fails."""
    with pytest.raises(EngineUnavailable) as raised:
        await engine.connect()
    await engine.close()
    return raised.type


@pytest.mark.parametrize("there", [True, False], ids=["nobody listens", "no socket"])
async def test_an_engine_that_listened_itself_is_down_when_nobody_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    monkeypatch.setattr(listener, "names_engine", lambda pid: pid == os.getpid())
    path = tmp_path / "engine.sock"
    async with serving(path) as engine:
        pass
    if not there:
        path.unlink()
    assert await failure(engine) is EngineDown


async def test_a_proxy_that_ended_does_not_mean_that_the_engine_is_down(tmp_path: Path) -> None:
    """Who listens here is this test's own process, which is not called dockerd."""
    async with serving(tmp_path / "engine.sock") as engine:
        pass
    assert await failure(engine) is EngineUnavailable


async def test_a_proxy_in_place_of_the_engine_ends_what_was_known_of_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "engine.sock"
    monkeypatch.setattr(listener, "names_engine", lambda pid: True)
    async with serving(path) as engine:
        pass
    monkeypatch.setattr(listener, "names_engine", lambda pid: False)
    listening = await asyncio.start_unix_server(Server().serve, path)
    await engine.connect()
    listening.close()
    await listening.wait_closed()
    assert await failure(engine) is EngineUnavailable


async def test_a_socket_where_nobody_was_ever_met_says_nothing_about_the_engine(tmp_path: Path) -> None:
    assert await failure(DockerEngine(f"unix://{tmp_path}/engine.sock")) is EngineUnavailable


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


async def test_a_ping_is_given_up_after_its_time(server: Server, tmp_path: Path) -> None:
    server.answers["_ping"] = b""
    engine = DockerEngine(f"unix://{tmp_path}/engine.sock", DockerTimeouts(ping=0.1))
    await engine.connect()
    with pytest.raises(EngineUnavailable, match="no answer to GET /_ping in time"):
        await engine.ping()
    await engine.close()


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


# One image among others


IDS = [f"sha256:{number}{'a' * 63}" for number in range(3)]
HOSTILE: dict[str, object] = {
    "a list": [],
    "nothing": None,
    "a layer that is no text": {"RootFS": {"Layers": [7]}},
    "deep JSON": b"[" * 100_000,
    "megabytes": {"Config": {"Env": ["A=" + "x" * 5_000_000]}},
    "layers without end": {"RootFS": {"Layers": ["sha256:1"] * 100_000}},
}


def list_images(server: Server, *changes: dict[str, object]) -> None:
    """Three images, all well but for some fields of their rows."""
    listed = [{"Id": image_id, **more} for image_id, more in zip(IDS, (*changes, {}, {}, {}), strict=False)]
    server.answers["images/json"] = answer(listed)
    for image_id in IDS:
        server.answers[f"images/{image_id}/json"] = answer({"RootFS": {"Layers": ["sha256:1"]}})
        server.answers[f"images/{image_id}/history"] = answer([])


@pytest.mark.parametrize("part", ["json", "history"])
async def test_an_image_whose_description_was_cut_short_on_the_way_is_unknown_until_it_is_asked_again(
    server: Server, engine: DockerEngine, part: str
) -> None:
    list_images(server)
    whole = server.answers[f"images/{IDS[1]}/{part}"]
    server.answers[f"images/{IDS[1]}/{part}"] = answer(b'{"Id": "sha')
    cut = (await engine.images({}))[1]
    server.answers[f"images/{IDS[1]}/{part}"] = whole
    again = (await engine.images({}))[1]
    assert (cut.details, cut.unreadable, again.details is not None) == (None, "", True)


@pytest.mark.parametrize("part", ["json", "history"])
@pytest.mark.parametrize("said", HOSTILE.values(), ids=HOSTILE.keys())
async def test_an_image_of_which_the_engine_says_what_cannot_be_read_has_no_details(
    server: Server, engine: DockerEngine, said: object, part: str
) -> None:
    list_images(server)
    said = {"Layers": []} if said == [] and part == "history" else said
    server.answers[f"images/{IDS[1]}/{part}"] = answer(said)
    found = await engine.images({})
    assert [(image.id, image.details is None, image.unreadable != "") for image in found] == [
        (IDS[0], False, False),
        (IDS[1], part == "json" or said is not None, part == "json" or said is not None),
        (IDS[2], False, False),
    ]


async def test_an_image_that_cannot_be_read_is_asked_once_over_a_connection(
    server: Server, engine: DockerEngine
) -> None:
    list_images(server)
    server.answers[f"images/{IDS[1]}/json"] = answer([])
    first = await engine.images({})
    known = {image.id: image.details for image in first if image.details is not None}
    before = len(server.calls)
    assert await engine.images(known) == first
    assert server.calls[before:] == ["GET /v1.41/images/json?all=1"]
    await engine.connect()
    server.answers[f"images/{IDS[1]}/json"] = answer({})
    assert [image.unreadable for image in await engine.images(known)] == ["", "", ""]


async def test_a_row_that_cannot_be_read_but_for_its_id_is_an_image_without_details(
    server: Server, engine: DockerEngine
) -> None:
    list_images(server, {}, {"RepoTags": 7}, {"RepoTags": ["team/a:1"]})
    found = await engine.images({})
    assert [(image.references, image.details is None) for image in found] == [
        ((), False),
        ((), True),
        (("team/a:1",), False),
    ]
    assert found[1].unreadable == "its names are not a list"


@pytest.mark.parametrize("ask", [DockerEngine.pulled_target, DockerEngine.layers, DockerEngine.references])
async def test_one_image_that_cannot_be_read_is_an_error_of_its_own_and_not_a_lost_engine(
    server: Server, engine: DockerEngine, ask: Callable[[DockerEngine, str], Awaitable[object]]
) -> None:
    server.answers["images/odd:1/json"] = answer([])
    with pytest.raises(EngineError, match="odd:1: the engine's answer cannot be read") as raised:
        await ask(engine, "odd:1")
    assert not isinstance(raised.value, EngineUnavailable)


async def test_a_container_whose_row_is_odd_is_listed_all_the_same(server: Server, engine: DockerEngine) -> None:
    row = {"Id": CID, "ImageID": IDS[0], "Names": 7, "State": 7, "Created": 1e300, "Labels": 7}
    server.answers["containers/json"] = answer([row])
    assert await engine.containers({}) == [Container(id=CID, image_id=IDS[0], state="running")]


async def test_a_stopped_container_whose_inspect_is_odd_is_listed_all_the_same(
    server: Server, engine: DockerEngine
) -> None:
    server.answers["containers/json"] = answer([{"Id": CID, "ImageID": IDS[0], "State": "exited"}])
    server.answers[f"containers/{CID}/json"] = answer({"State": 7, "Created": [], "HostConfig": 7})
    assert await engine.containers({}) == [Container(id=CID, image_id=IDS[0], state="exited")]


async def test_a_container_whose_mounts_cannot_be_read_makes_the_list_an_error(
    server: Server, engine: DockerEngine
) -> None:
    server.answers["containers/json"] = answer([{"Id": CID, "ImageID": IDS[0], "Mounts": 7}])
    with pytest.raises(EngineUnavailable, match="an entry of a list cannot be read: its mounts are not a list"):
        await engine.containers({})


@pytest.mark.parametrize(
    "body", [b"\xff\xfe", b"[" * 100_000, b"[1e999]", b"[NaN]"], ids=["bytes", "deep", "inf", "nan"]
)
async def test_a_list_that_nobody_can_read_is_an_engine_that_is_not_available(
    server: Server, engine: DockerEngine, body: bytes
) -> None:
    server.answers["images/json"] = answer(body)
    with pytest.raises(EngineUnavailable):
        await engine.images({})


async def test_an_answer_without_its_image_is_an_error(server: Server, engine: DockerEngine) -> None:
    server.answers[f"containers/{CID}/json"] = answer({"Id": CID})
    with pytest.raises(EngineUnavailable):
        await engine.made_from(CID)


async def test_a_reference_that_is_not_there_is_not_found(server: Server, engine: DockerEngine) -> None:
    server.answers["images/gone:1/json"] = answer({"message": "No such image"}, 404)
    for ask in (engine.pulled_target, engine.layers):
        with pytest.raises(NotFound):
            await ask("gone:1")


# Another product


async def test_podman_is_recognised_by_its_version_and_a_digest_of_it_proves_no_origin(
    server: Server, engine: DockerEngine
) -> None:
    listed = [{"Id": "sha256:" + "a" * 64, "RepoDigests": ["docker.io/team/torch@sha256:" + "d" * 64]}]
    server.answers["images/json"] = answer(listed)
    server.answers[f"images/{listed[0]['Id']}/json"] = answer({})
    server.answers[f"images/{listed[0]['Id']}/history"] = answer([])
    digest = "team/torch@sha256:" + "d" * 64
    assert [image.origin for image in await engine.images({})] == [digest]
    components = [{"Name": "Podman Engine", "Version": "4.3.1"}]
    server.answers["version"] = answer({"ApiVersion": "1.41", "Version": "4.3.1", "Components": components})
    info = await engine.connect()
    assert (info.product, bool(info.observe_only)) == ("Podman", True)
    assert [(image.digests, image.origin) for image in await engine.images({})] == [((digest,), None)]


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
    server: Server, engine: DockerEngine, path: str, told: bytes
) -> None:
    server.answers[path] = told
    with pytest.raises(EngineError):
        await (engine.images({}) if path == "images/json" else engine.containers({}))


async def test_a_list_that_answers_404_for_a_moment_is_asked_again(server: Server, engine: DockerEngine) -> None:
    server.soon["images/json"] = [NO_LISTS["404"]] * 2
    server.answers["images/json"] = answer([])
    assert await engine.images({}) == []
    assert len(server.calls_of("GET")) == 3
