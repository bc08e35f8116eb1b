"""The installed agent at work behind HAProxy, on a real engine: all that it needs passes, and nothing else does."""

import asyncio
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent.adapters.docker.engine import DockerEngine
from agent.adapters.engine import EngineDown, EngineError, EngineUnavailable
from tests.acceptance.host import RealHost
from tests.support import dockerd, haproxy, images, proc, proxy
from tests.support.haproxy import HAProxy

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]  # seconds; the story takes some 20

IDLE, USED, REFUSED = "teamai/pytorch:2.4", "teamai/pytorch:2.5", "lab/pytorch:2.6"
ALSO_REFUSED = "lab/pytorch:old"


@dataclass
class Story:
    """What was seen of an agent that evicted, was refused, pruned the build cache, and was started again."""

    images: dict[str, str] = field(default_factory=dict)
    references: set[str] = field(default_factory=set)
    events: list[dict[str, Any]] = field(default_factory=list)
    log: str = ""
    check: tuple[int, dict[str, Any]] = (0, {})
    reasons: dict[str, str] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    look_inside: subprocess.CompletedProcess[str] | None = None
    looked_for: list[str] = field(default_factory=list)
    create: int = 0
    containers: list[str] = field(default_factory=list)
    without_proxy: EngineError | None = None
    without_engine: EngineError | None = None


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("host")
    with dockerd.running() as engine:
        yield asyncio.run(tell(engine, folder))


async def tell(engine: dockerd.Dockerd, folder: Path) -> Story:
    """The engine refuses the first removal of one image, through a proxy of the test between it and HAProxy."""
    seen = Story()
    async with proxy.before(engine.socket, engine.folder) as faults:
        with haproxy.running(Path(faults.url.removeprefix("unix://")), build_cache=True) as rules:
            await asyncio.to_thread(live, engine, RealHost(engine, folder), rules, faults, seen)
    with haproxy.running(engine.socket) as rules:
        await end(engine, rules, seen)
    return seen


def live(engine: dockerd.Dockerd, host: RealHost, rules: HAProxy, faults: proxy.Proxy, seen: Story) -> None:
    """The life of the agent, as its operator sees it."""
    host.configure(docker={"url": rules.url}, cleanup={"build_cache_after": "1s"})
    host.plain("base:1")
    images.build_child(engine, "base:1", "app:1", classic=False)
    seen.images = {ref: host.torch(ref) for ref in (IDLE, USED)}
    seen.images[REFUSED] = host.torch(REFUSED, extra_refs=[ALSO_REFUSED])
    faults.on("DELETE", f"/images/{seen.images[REFUSED]}", proxy.answer(409))
    images.run(engine, USED, "sleep", "600", detach=True, name="training")
    with host.agent():
        images.run(engine, IDLE, "true", rm=True)
        host.await_gone(seen.images[IDLE])
        proc.eventually(lambda: {"torchkeeper.build-cache", "refused"} <= kinds(host))
    with host.agent():
        pass
    seen.check, seen.reasons = host.checks(), host.reasons()
    seen.events, seen.references, seen.log = host.json("history")["events"], engine.references(), host.log.read_text()
    host.json("images")
    host.json("explain", USED)
    seen.refusals = rules.refusals()
    seen.look_inside = host.run("explain", USED, "--look-inside")
    seen.create = rules.status("POST", "/v1.41/containers/create", {"Content-Length": "2"}, "{}")
    seen.looked_for = [line for line in rules.refusals() if line not in seen.refusals]
    seen.containers = [name for item in engine.containers() for name in item["Names"]]


def kinds(host: RealHost) -> set[str]:
    """The types and the outcomes of the events so far."""
    events = host.json("history")["events"]
    return {event["type"] for event in events} | {event["data"].get("outcome", "") for event in events}


async def end(engine: dockerd.Dockerd, rules: HAProxy, seen: Story) -> None:
    """First the proxy ends, and starts again; then the engine ends."""
    adapter = DockerEngine(rules.url)
    await adapter.connect()
    rules.stop()
    seen.without_proxy = await failure(adapter)
    rules.start()
    await adapter.connect()
    engine.stop()
    seen.without_engine = await failure(adapter)
    await adapter.close()


async def failure(adapter: DockerEngine) -> EngineError | None:
    try:
        await adapter.ping()
    except EngineError as error:
        return error
    return None


def outcomes(story: Story, image: str) -> list[str]:
    """The outcomes of the removals of an image, in order."""
    return [
        event["data"]["outcome"] for event in story.events if event["subject"] == image and "outcome" in event["data"]
    ]


def test_nothing_that_the_agent_asks_for_is_refused(story: Story) -> None:
    assert story.refusals == []
    assert "does not permit" not in story.log


def test_an_idle_image_is_evicted_and_a_used_one_stays(story: Story) -> None:
    assert outcomes(story, story.images[IDLE]) == ["removed"]
    assert (story.reasons[USED], outcomes(story, story.images[USED])) == ("in-use", [])


def test_an_image_that_the_engine_refuses_to_delete_has_its_tags_back(story: Story) -> None:
    assert outcomes(story, story.images[REFUSED]) == ["refused"]
    assert story.references == {"base:1", "app:1", USED, REFUSED, ALSO_REFUSED}


def test_the_build_cache_is_pruned(story: Story) -> None:
    states = [event["data"]["state"] for event in story.events if event["type"] == "torchkeeper.build-cache"]
    assert states == ["decided", "pruned"]


def test_it_watches_again_after_a_restart_and_check_finds_no_fault(story: Story) -> None:
    assert story.log.count("watching the engine") == 2
    code, findings = story.check
    assert (code, findings["engine"]["ok"]) == (0, True)


def test_a_look_inside_ends_with_one_sentence_and_without_a_container(story: Story) -> None:
    assert story.look_inside is not None
    assert story.look_inside.returncode == 1
    assert "the socket proxy does not permit this call" in story.look_inside.stderr
    assert "Traceback" not in story.look_inside.stderr
    assert story.containers == ["/training"]


def test_a_container_cannot_be_created_and_the_attempt_is_logged(story: Story) -> None:
    assert story.create == 403
    assert story.looked_for[-1] == 'status=403 method=POST target="/v1.41/containers/create" reason=PR'


def test_a_stopped_proxy_and_a_stopped_engine_behind_it_are_never_a_stopped_engine(story: Story) -> None:
    for error in (story.without_proxy, story.without_engine):
        assert isinstance(error, EngineUnavailable)
        assert not isinstance(error, EngineDown)
    assert "the socket proxy cannot connect to the engine" in str(story.without_engine)
