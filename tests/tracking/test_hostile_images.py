"""Hostile images on a host: the agent goes on, says which it cannot judge, and reads each of them once."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from agent.core.model import Image
from agent.core.policy.decision import Action, Outcome, Reason
from agent.core.protocol.alerts import AlertId
from agent.core.pytorch import classify
from agent.tracking.timing import TrackingTiming
from tests.support import fake_host as harness
from tests.support.builders import TORCH, make_details, make_id, make_image, pytorch_image
from tests.support.fake_host import FakeHost
from tests.support.proc import eventually_async

REF = "team/torch:1"
AGAIN = TrackingTiming().relist_delay + 1.0  # seconds, after which an event's listing is done
PATIENCE = 20.0  # seconds that a blocked classification waits to be let go


@pytest.fixture
def image(host: FakeHost) -> str:
    return host.docker.add(pytorch_image("torch", REF))


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The IDs of the images that were examined, in order."""
    found: list[str] = []
    whole = classify.examine

    def examine(image: Image) -> classify.Examined:
        found.append(image.id)
        return whole(image)

    monkeypatch.setattr(classify, "examine", examine)
    return found


# One image that cannot be judged


async def test_a_label_that_no_duration_can_hold_keeps_its_image_and_the_others_go(host: FakeHost, image: str) -> None:
    labels = {"torchkeeper.ttl": "999999999w"}
    odd = host.docker.add(make_image("odd", "team/odd:1", details=make_details("odd", env=TORCH, labels=labels)))
    agent = await harness.due(host)
    assert await harness.sweep(agent) == {REF: Outcome.REMOVED}
    assert await agent.reason(odd) is Reason.LABEL_KEEP


async def test_an_image_that_cannot_be_judged_is_named_in_an_alert_until_it_is_gone(host: FakeHost, image: str) -> None:
    odd = host.docker.add(make_image("odd", "team/odd:1", details=make_details("odd", env=TORCH, layers=["x" * 999])))
    agent = await harness.due(host, observe=True)
    await agent.sweeper.sweep()
    alert = agent.host_report.alerts[AlertId.IMAGE_UNREADABLE]
    assert alert.severity == "warning"
    assert alert.message == (
        "1 image that cannot be judged is kept: team/odd:1 (the ID of its parent or of a layer has more than 200 "
        "characters); `torchkeeper explain IMAGE` shows one of them"
    )
    assert (await agent.decision(odd)).reason is Reason.UNKNOWN
    assert (await agent.decision(image)).action is Action.EVICT
    host.docker.delete(odd)
    await agent.ingestor.refresh()
    await agent.sweeper.sweep()
    assert AlertId.IMAGE_UNREADABLE not in agent.host_report.alerts


async def test_an_alert_names_a_few_images_and_counts_the_others(host: FakeHost) -> None:
    agent = host.agent()
    for number in range(9):
        odd = host.docker.add(make_image(f"odd-{number}"))
        agent.engine.unreadable[odd] = "its layers are not a list"
    await agent.watch()
    await agent.sweeper.sweep()
    message = agent.host_report.alerts[AlertId.IMAGE_UNREADABLE].message
    assert message.startswith("9 images that cannot be judged are kept: sha256:")
    assert (message.count("its layers are not a list"), " and 5 more; " in message) == (4, True)


async def test_an_image_that_cannot_be_read_is_not_asked_for_again_and_again(host: FakeHost, image: str) -> None:
    agent = host.agent()
    agent.engine.unreadable[image] = "its layers are not a list"
    await agent.watch()
    listings = agent.engine.counts()["images"]
    await agent.wait(120)
    assert agent.engine.counts()["images"] == listings
    assert (await agent.decision(image)).explanation == "it cannot be judged, so it is kept: its layers are not a list"


# Each image is examined once


async def test_an_image_is_examined_once_whatever_becomes_of_the_others(
    host: FakeHost, image: str, examined: list[str]
) -> None:
    agent = await host.agent().start()
    assert examined == [image]
    fresh = host.docker.pull(pytorch_image("fresh", "team/fresh:1"))
    await agent.wait(AGAIN)
    assert examined == [image, fresh]
    host.docker.tag(fresh, "team/fresh:2")
    host.docker.run(REF, "box")
    await agent.wait(AGAIN)
    await agent.wait(4000)  # the hourly listing
    assert examined == [image, fresh]


async def test_a_new_name_counts_without_a_new_examination(host: FakeHost, examined: list[str]) -> None:
    plain = host.docker.add(make_image("plain", "team/app:1"))
    agent = await host.agent().start()
    assert await agent.reason(plain) is Reason.NOT_PYTORCH
    host.docker.tag(plain, "team/pytorch:2.9-cuda12.6")
    await agent.wait(AGAIN)
    assert (await agent.decision(plain)).verdict.kind == "pytorch"
    assert examined == [plain]


async def test_an_image_whose_inspect_failed_is_examined_once_it_is_known(
    host: FakeHost, image: str, examined: list[str]
) -> None:
    agent = host.agent()
    agent.engine.uninspectable.add(image)
    await agent.watch()
    assert (examined, await agent.reason(image)) == ([], Reason.UNKNOWN)
    agent.engine.uninspectable.clear()
    await agent.ingestor.refresh()
    assert (examined, (await agent.decision(image)).verdict.kind) == ([image], "pytorch")


async def test_what_is_known_of_an_image_goes_with_it(host: FakeHost, image: str, examined: list[str]) -> None:
    agent = await host.agent().watch()
    host.docker.delete(image)
    await agent.ingestor.refresh()
    host.docker.add(pytorch_image("torch", REF))
    await agent.ingestor.refresh()
    assert examined == [image, image]


# A slow examination holds up nothing


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


async def test_the_loop_takes_in_events_while_an_image_is_examined(
    host: FakeHost, image: str, monkeypatch: pytest.MonkeyPatch, threads: ThreadPoolExecutor
) -> None:
    agent = await host.agent().watch()
    asyncio.get_running_loop().set_default_executor(threads)
    begun, let_go = threading.Event(), threading.Event()
    given_up: list[str] = []
    whole = classify.examine

    def blocked(image: Image) -> classify.Examined:
        begun.set()
        if not let_go.wait(PATIENCE):
            given_up.append(image.id)
        return whole(image)

    monkeypatch.setattr(classify, "examine", blocked)
    fresh = host.docker.pull(pytorch_image("fresh", "team/fresh:1"))
    await agent.wait(AGAIN)
    assert await asyncio.to_thread(begun.wait, PATIENCE)
    pings = agent.engine.counts().get("ping", 0)
    cid = host.docker.run(REF, "box")
    await agent.wait(TrackingTiming().heartbeat_interval + 1.0)
    assert [event.action for event in agent.ingestor.buffer.waiting if event.actor == cid] == ["create", "start"]
    assert agent.engine.counts()["ping"] > pings
    assert agent.view.verdicts.keys() == {image}  # as it was, together with the images
    assert [found.id for found in agent.view.images] == [image]
    let_go.set()

    async def caught_up() -> bool:
        await agent.wait(0)
        return agent.view.verdicts.keys() == {image, fresh} and agent.usage(image).last_used_by == "box"

    await eventually_async(caught_up)
    assert given_up == []
    assert await agent.reason(image) is Reason.IN_USE


async def test_a_look_that_ends_while_an_image_is_examined_leaves_the_next_one_whole(
    host: FakeHost, image: str, monkeypatch: pytest.MonkeyPatch, threads: ThreadPoolExecutor
) -> None:
    agent = await host.agent().watch()
    asyncio.get_running_loop().set_default_executor(threads)
    begun, let_go = threading.Event(), threading.Event()
    whole = classify.examine

    def blocked(image: Image) -> classify.Examined:
        begun.set()
        let_go.wait(PATIENCE)
        return whole(image)

    monkeypatch.setattr(classify, "examine", blocked)
    fresh = host.docker.pull(pytorch_image("fresh", "team/fresh:1"))
    looking = asyncio.create_task(agent.ingestor.refresh())
    assert await asyncio.to_thread(begun.wait, PATIENCE)
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    let_go.set()
    await agent.ingestor.refresh()
    assert agent.view.verdicts.keys() == {image, fresh}
    assert (await agent.decision(fresh)).image.id == make_id("fresh")
