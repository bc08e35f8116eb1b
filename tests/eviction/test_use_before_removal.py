"""Others use, name or pull an image while the agent removes it; and the events of the agent's own acts."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from agent.adapters.engine import Conflict, EngineUnavailable
from agent.cli import history_table
from agent.core.model import Image
from agent.core.policy.decision import Reason
from agent.core.protocol import payloads
from agent.core.protocol.alerts import AlertId
from tests.support.builders import make_digest, pytorch_image
from tests.support.fake_host import FakeHost, HostedAgent, Killed, agent_past_ttl, fake_host

UNHEARD = "whether the engine removed anything else is not known: an answer was not heard"
REFS = ("other/torch:1", "team/torch:1", "team/torch:2")  # the first one stays longest
NEW = make_digest("team/torch", "new")  # what an image can be pulled again by that takes over the name of another


@pytest.fixture(params=[False, True], ids=["graph", "containerd"])
async def host(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[FakeHost]:
    async with fake_host(tmp_path, containerd=request.param) as made:
        yield made


@pytest.fixture
def image(host: FakeHost) -> Image:
    made = pytorch_image("torch", *REFS, pulled=False)
    host.docker.add(made)
    return made


async def local_agent_past_ttl(host: FakeHost) -> HostedAgent:
    return await agent_past_ttl(host, evict_local=True)


def pull(host: FakeHost, image: Image) -> None:
    """On a graph driver a digest shows that it was pulled."""
    host.docker.images[image.id].digests.append(make_digest("other/torch", "pulled"))
    host.docker.emit("image", "pull", REFS[0], name=REFS[0])


ACTS: dict[str, Callable[[FakeHost, Image], object]] = {
    "uses it": lambda host, image: host.docker.run(image.id, rm=True),
    "names it": lambda host, image: host.docker.tag(image.id, "user/torch:1"),
    "gives it the name that it has": lambda host, image: host.docker.tag(image.id, REFS[0]),
    "gives it the name that was just taken": lambda host, image: host.docker.tag(image.id, REFS[1]),
    "pulls it": pull,
}
BLINDING: dict[str, Callable[[HostedAgent], object]] = {
    "a ping is not answered": lambda agent: agent.view.stream.suspend(),
    "a use cannot be matched": lambda agent: agent.host.docker.emit("container", "destroy", "f" * 64, image="gone:1"),
}


async def meanwhile(agent: HostedAgent, act: Callable[[], object]) -> None:
    """A sweep, in which something happens after the first tag went."""

    async def meddle() -> None:
        act()
        for _ in range(100):  # a real engine sends the event before the answer
            await asyncio.sleep(0)

    agent.engine.on("untag", meddle, after=True)
    await agent.sweeper.sweep()


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
async def test_an_image_that_somebody_uses_names_or_pulls_during_its_removal_stays_whole(
    host: FakeHost, image: Image, act: Callable[[FakeHost, Image], object]
) -> None:
    agent = await local_agent_past_ttl(host)
    await meanwhile(agent, lambda: act(host, image))
    assert set(REFS) <= set(host.docker.images[image.id].tags)
    assert await agent.outcomes() == ["refused"]
    await agent.wait()
    assert await agent.reason(image.id) in (Reason.RECENT, Reason.MIN_AGE)


async def test_a_use_between_the_plan_and_the_first_act_is_noticed(
    host: FakeHost, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = await local_agent_past_ttl(host)
    evictor = agent.steps.evictor
    begin = evictor._begin

    async def use_and_begin(*args: Any) -> None:
        host.docker.run(image.id, rm=True)
        for _ in range(100):
            await asyncio.sleep(0)
        await begin(*args)

    monkeypatch.setattr(evictor, "_begin", use_and_begin)
    await agent.sweeper.sweep()
    assert (set(host.docker.images[image.id].tags), agent.engine.mutations) == (set(REFS), [])
    assert await agent.outcomes() == ["refused"]


@pytest.mark.parametrize("act", BLINDING.values(), ids=BLINDING)
async def test_an_image_about_which_an_event_may_be_missed_during_its_removal_stays_whole(
    host: FakeHost, image: Image, act: Callable[[HostedAgent], object]
) -> None:
    agent = await local_agent_past_ttl(host)
    await meanwhile(agent, lambda: act(agent))
    assert set(host.docker.images[image.id].tags) == set(REFS)
    assert await agent.outcomes() == ["refused"]


async def test_a_tag_that_somebody_gives_meanwhile_is_an_arrival_and_a_change_of_names(
    host: FakeHost, image: Image
) -> None:
    agent = await local_agent_past_ttl(host)
    before, now = agent.usage(image.id), host.clock.now()
    agent.engine.on("untag", lambda: host.docker.tag(image.id, "user/torch:1"), after=True)
    await agent.sweeper.sweep()
    await agent.wait()
    after = agent.usage(image.id)
    assert (before.arrived, before.references_changed) == (None, None)
    assert (after.arrived, after.references_changed) == (now, now)
    assert [name for name in after.references if "@" not in name] == [*REFS, "user/torch:1"]


async def test_a_tag_that_somebody_gives_meanwhile_counts_though_the_agent_gives_the_same_one_back(
    host: FakeHost, image: Image
) -> None:
    """One of the two events is the agent's own: the other one is an arrival."""
    agent = await local_agent_past_ttl(host)
    now = host.clock.now()
    agent.engine.on("delete", Conflict(409, "in use"))
    agent.engine.on("tag", lambda: host.docker.tag(image.id, REFS[1]), after=True)
    await agent.sweeper.sweep()
    await agent.wait()
    assert agent.usage(image.id).arrived == now


async def test_a_tag_that_the_agent_puts_back_is_neither_an_arrival_nor_a_change_of_names(
    host: FakeHost, image: Image
) -> None:
    agent = await local_agent_past_ttl(host)
    before = agent.usage(image.id)
    agent.engine.on("delete", Conflict(409, "in use"))
    await agent.sweeper.sweep()
    listed = agent.engine.counts()["images"]
    await agent.wait(60)
    assert (agent.usage(image.id), set(host.docker.images[image.id].tags)) == (before, set(REFS))
    assert agent.engine.counts()["images"] == listed  # nothing of it is news


# What an eviction took with it


OTHER = replace(pytorch_image("new", labels={"torchkeeper.keep": "true"}), references=(), digests=(NEW,), origin=NEW)


async def evict_with_another(host: FakeHost) -> HostedAgent:
    """An eviction in which a tag passes to another image between the look and the call."""
    host.docker.add(OTHER)
    agent = await local_agent_past_ttl(host)
    agent.engine.on("untag", lambda: host.docker.tag(OTHER.id, REFS[1]))
    await agent.sweeper.sweep()
    return agent


async def test_anything_removed_together_with_an_image_is_in_the_outcome(host: FakeHost, image: Image) -> None:
    agent = await evict_with_another(host)
    [outcome] = await agent.events(payloads.OutcomeData.type)
    data = payloads.OutcomeData.model_validate(outcome.data)
    digest = [] if host.docker.containerd else [NEW]  # it was never seen pulled, and proves nothing there
    assert (data.outcome, data.also_removed) == ("refused", [REFS[1], *digest, OTHER.id])
    assert data.error == f"{REFS[1]} had passed to another image, which lost it"
    assert set(host.docker.images[image.id].tags) == {REFS[0], REFS[2]}


async def test_an_eviction_that_removed_nothing_else_says_so_and_raises_no_alert(host: FakeHost, image: Image) -> None:
    agent = await local_agent_past_ttl(host)
    await agent.sweeper.sweep()
    [outcome] = await agent.events(payloads.OutcomeData.type)
    assert (outcome.data["outcome"], outcome.data["also_removed"]) == ("removed", [])
    assert AlertId.REMOVED_ANOTHER_IMAGE not in agent.host_report.alerts


async def test_anything_removed_together_with_an_image_is_a_critical_alert_for_a_week_after_a_restart_too(
    host: FakeHost, image: Image, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = await evict_with_another(host)
    assert "[error" in capsys.readouterr().out
    alert = agent.host_report.alerts[AlertId.REMOVED_ANOTHER_IMAGE]
    back = "pull, build, load or tag it again" if host.docker.containerd else f"docker pull {NEW}"
    assert alert.severity == "critical"
    assert all(part in alert.message for part in (REFS[1], OTHER.id, back, "ends by itself at 2026-03-08T"))
    await agent.kill()
    again = await host.agent(evict_local=True).watch()
    host.docker.create(image.id)  # so that it stays now
    await again.wait()
    await again.sweeper.sweep()
    assert again.host_report.alerts[AlertId.REMOVED_ANOTHER_IMAGE].message == alert.message
    await again.end_watcher_as_proven()
    host.clock.jump(timedelta(days=6.9).total_seconds())
    await again.sweeper.sweep()
    assert AlertId.REMOVED_ANOTHER_IMAGE in again.host_report.alerts
    host.clock.jump(timedelta(days=0.2).total_seconds())
    await again.sweeper.sweep()
    assert AlertId.REMOVED_ANOTHER_IMAGE not in again.host_report.alerts


async def test_the_history_shows_anything_removed_together_with_an_image_and_how_to_bring_it_back(
    host: FakeHost, image: Image
) -> None:
    agent = await evict_with_another(host)
    console = Console(width=300, file=io.StringIO())
    console.print(history_table.history(await agent.events(), "7d", verbose=False))
    shown = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert f"also removed: {REFS[1]}" in shown
    assert (f"docker pull {NEW}" in shown) is not host.docker.containerd


async def test_answers_before_the_engine_was_lost_are_in_the_outcome(host: FakeHost, image: Image) -> None:
    host.docker.add(OTHER)
    agent = await local_agent_past_ttl(host)
    agent.engine.on("untag", lambda: host.docker.tag(OTHER.id, REFS[2]), nth=2)
    agent.engine.on("tag", EngineUnavailable(0, "gone"))  # while the first one is given back
    with pytest.raises(EngineUnavailable):
        await agent.sweeper.sweep()
    host.docker.create(image.id)
    await agent.sweeper.sweep()
    [outcome] = await agent.events(payloads.OutcomeData.type)
    assert OTHER.id in outcome.data["also_removed"]
    assert outcome.data["error"] == "interrupted; the image is whole"


async def test_an_answer_that_was_lost_with_the_engine_is_reported(host: FakeHost, image: Image) -> None:
    agent = await local_agent_past_ttl(host)
    agent.engine.on("delete", EngineUnavailable(0, "no answer in time"), after=True)
    with pytest.raises(EngineUnavailable):
        await agent.sweeper.sweep()
    await agent.sweeper.sweep()
    [outcome] = await agent.events(payloads.OutcomeData.type)
    assert (outcome.data["outcome"], outcome.data["error"]) == ("removed", UNHEARD)


async def test_killed_before_the_answer_the_outcome_says_that_nobody_knows(host: FakeHost, image: Image) -> None:
    agent = await local_agent_past_ttl(host)
    agent.engine.on("delete", Killed(), after=True)
    with pytest.raises(Killed):
        await agent.sweeper.sweep()
    await agent.kill()
    again = await host.agent(evict_local=True).watch()
    await again.sweeper.sweep()
    [outcome] = await again.events(payloads.OutcomeData.type)
    assert (outcome.data["outcome"], outcome.data["also_removed"]) == ("removed", [])
    assert outcome.data["error"] == UNHEARD
