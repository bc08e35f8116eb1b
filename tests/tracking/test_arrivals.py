"""Images that come whole, images that are built on top of others, and images that cannot be told."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from agent.core.policy.decision import Reason
from tests.support import fake_host as harness
from tests.support.builders import make_id, make_image, pytorch_image
from tests.support.fake_host import FakeHost, HostedAgent
from tests.support.fakes.clock import START

REF = "team/torch:1"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def image(host: FakeHost) -> str:
    return host.docker.add(pytorch_image("torch", REF))


async def used(agent: HostedAgent, image_id: str) -> tuple[object, str]:
    usage = agent.usage(image_id)
    return usage.last_used, usage.last_used_by


async def test_a_pull_is_an_arrival_and_no_use(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    await agent.wait(60)
    host.docker.pull(pytorch_image("torch", REF))
    pulled = host.clock.now()
    await agent.wait()
    usage = agent.usage(image)
    assert (usage.arrived, usage.last_used, usage.pulled) == (pulled, None, True)


@pytest.mark.parametrize("classic", [True, False], ids=["classic", "buildkit"])
@pytest.mark.parametrize("silent", [True, False], ids=["silent", "tagged"])
async def test_a_build_on_top_is_a_use_of_the_base(host: FakeHost, image: str, classic: bool, silent: bool) -> None:
    agent = await host.agent().watch()
    await agent.wait(60)
    child = host.docker.build("team/app:1", REF, classic=classic, silent=silent)
    built = host.clock.now()
    await agent.wait(3600 if silent else 1)
    at, by = await used(agent, image)
    assert by == f"build of {child[7:19]}"
    assert at == built if not silent else at is not None


@pytest.mark.parametrize("way", ["pull", "load", "import"])
async def test_what_comes_whole_is_no_use_of_what_it_begins_with(host: FakeHost, image: str, way: str) -> None:
    agent = await host.agent().watch()
    base = host.docker.images[image].details
    above = pytorch_image("above", "team/above:1", layers=[*base.layers, make_id("top")])
    if way == "pull":
        host.docker.pull(above)
    else:
        host.docker.load(above, way)
    host.docker.tag(above.id, "team/above:2")  # named at once, as an import is
    await agent.wait()
    assert (agent.usage(image).last_used, agent.usage(above.id).arrived) == (None, START)


async def test_what_was_there_at_the_very_start_touches_no_base(host: FakeHost, image: str) -> None:
    host.docker.build("team/app:1", REF, silent=True)
    agent = await host.agent().watch()
    assert agent.usage(image).last_used is None


async def test_an_image_that_vanished_and_came_back_unseen_has_just_arrived(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    del host.docker.images[image]
    await agent.ingestor.refresh()
    assert not agent.usage(image).present
    await agent.wait(60)
    host.docker.add(pytorch_image("torch", REF))
    await agent.ingestor.refresh()
    usage = agent.usage(image)
    assert (usage.present, usage.first_seen, usage.arrived) == (True, START, host.clock.now())


async def test_an_image_that_cannot_be_inspected_is_unknown_until_it_can(host: FakeHost, image: str) -> None:
    agent = host.agent()
    agent.engine.uninspectable.add(image)
    await agent.watch()
    assert await agent.reason(image) is Reason.UNKNOWN
    agent.engine.uninspectable.clear()
    await agent.ingestor.refresh()
    assert await agent.reason(image) is Reason.MIN_AGE


async def test_an_image_mounted_into_a_container_is_in_use(host: FakeHost, image: str) -> None:
    host.docker.add(make_image("tool", "tool:1"))
    host.docker.create("tool:1", image_mounts=[REF])
    agent = await host.agent().watch()
    assert await agent.reason(image) is Reason.IN_USE


# Pulls that are told late, or again


@pytest.fixture
async def containerd(tmp_path: Path) -> AsyncIterator[FakeHost]:
    async with harness.fake_host(tmp_path, containerd=True) as made:
        yield made


async def away(host: FakeHost) -> None:
    """The agent that watches dies; what happens next is told to another one."""
    await host.agents[-1].wait()
    await host.agents[-1].kill()
    await host.clock.advance(30)


def a_gap(name: str) -> list[tuple[float, str]]:
    return [(0.0, f"a pull of '{name}' could not be matched to an image")]


UNSEEN = [(0.0, "an image came and went unseen: what it was built on is not known")]


async def test_a_pull_whose_name_moved_before_it_could_be_asked_is_a_gap(host: FakeHost, image: str) -> None:
    other = host.docker.add(make_image("other", "team/other:1"))
    await host.agent().watch()
    await away(host)
    host.docker.pull(pytorch_image("fresh", "team/fresh:1"))
    pulled = host.clock.now()
    host.docker.tag(other, "team/fresh:1")
    await host.clock.advance(30)
    again = await host.agent().watch()
    assert await again.gaps() == a_gap("team/fresh:1")
    assert again.view.gap_end == pulled
    assert not again.usage(other).pulled


async def test_a_pull_whose_name_was_given_back_to_the_image_that_had_it_is_a_gap(host: FakeHost, image: str) -> None:
    await host.agent().watch()
    await away(host)
    host.docker.pull(pytorch_image("fresh", REF))
    host.docker.tag(image, REF)
    again = await host.agent().watch()
    assert (await again.gaps(), again.usage(image).pulled) == (a_gap(REF), False)


async def test_a_pull_whose_image_is_gone_is_a_gap(host: FakeHost, image: str) -> None:
    await host.agent().watch()
    await away(host)
    host.docker.pull(pytorch_image("fresh", "team/fresh:1"))
    host.docker.delete("team/fresh:1")
    again = await host.agent().watch()
    assert await again.gaps() in (a_gap("team/fresh:1"), UNSEEN)


async def test_a_name_pulled_twice_and_meaning_the_same_is_no_gap(host: FakeHost, image: str) -> None:
    await host.agent().watch()
    await away(host)
    for _ in range(2):
        host.docker.pull(pytorch_image("torch", REF))
        pulled = host.clock.now()
        await host.clock.advance(30)
    again = await host.agent().watch()
    assert (again.usage(image).arrived, await again.gaps()) == (pulled, [])


async def test_a_name_pulled_twice_and_meaning_another_image_now_is_a_gap(host: FakeHost, image: str) -> None:
    await host.agent().watch()
    await away(host)
    for name in ("second", "third"):
        host.docker.pull(pytorch_image(name, REF))
        await host.clock.advance(30)
    again = await host.agent().watch()
    assert await again.gaps() == a_gap(REF)


async def test_a_build_without_an_event_on_a_name_that_was_pulled_before_is_a_use(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    host.docker.pull(pytorch_image("fresh", "team/fresh:1"))
    await away(host)
    child = host.docker.build("team/fresh:1", REF, silent=True)
    again = await host.agent().watch()
    assert (agent is not again, again.usage(image).last_used_by) == (True, f"build of {child[7:19]}")
    assert await again.gaps() == []


async def test_a_build_without_an_event_after_an_unseen_pull_is_a_use_and_not_pulled(containerd: FakeHost) -> None:
    base = containerd.docker.add(pytorch_image("torch", REF))
    await containerd.agent().watch()
    await away(containerd)
    containerd.docker.pull(pytorch_image("fresh", "team/fresh:1"))
    await containerd.clock.advance(30)
    child = containerd.docker.build("team/fresh:1", REF, silent=True)
    again = await containerd.agent().watch()
    assert (again.usage(base).last_used_by, again.usage(child).pulled) == (f"build of {child[7:19]}", False)
    assert await again.gaps() == a_gap("team/fresh:1")


@pytest.mark.parametrize("retagged", [False, True])
async def test_a_pull_told_late_proves_its_origin_where_no_other_name_came_unseen(
    containerd: FakeHost, retagged: bool
) -> None:
    await containerd.agent().watch()
    await away(containerd)
    fresh = containerd.docker.pull(pytorch_image("fresh", "team/fresh:1"))
    await containerd.clock.advance(30)
    if retagged:
        containerd.docker.tag(fresh, "team/mine:1")
    again = await containerd.agent().watch()
    assert (again.usage(fresh).pulled, await again.gaps()) == (True, [])


async def test_a_pull_that_was_taken_in_before_is_not_asked_again(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    host.docker.pull(pytorch_image("fresh", "team/fresh:1"))
    host.docker.delete("team/fresh:1")
    await agent.wait(0.01)
    gaps, asked = await agent.gaps(), agent.engine.counts()["pulled_target"]
    host.docker.cut_streams()
    await agent.wait(60)
    assert (await agent.gaps(), agent.engine.counts()["pulled_target"]) == (gaps, asked)


# Builds whose result is gone


async def test_a_build_that_is_removed_at_once_is_a_use_all_the_same(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    await agent.wait(60)
    child = host.docker.build("team/app:1", REF)
    built = host.clock.now()
    await agent.wait(0.1)
    host.docker.delete("team/app:1")
    await agent.wait(60)
    assert (await used(agent, image), await agent.gaps()) == ((built, f"build of {child[7:19]}"), [])


async def test_a_build_that_is_killed_with_the_agent_before_the_listing_is_a_use(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    child = host.docker.build("team/app:1", REF)
    await agent.wait(0.1)
    await agent.kill()
    assert (await host.agent().saved())[image].last_used_by == f"build of {child[7:19]}"


@pytest.mark.parametrize("silent", [True, False], ids=["silent", "tagged"])
async def test_a_build_that_came_and_went_while_nobody_watched_is_a_gap(
    host: FakeHost, image: str, silent: bool
) -> None:
    await host.agent().watch()
    await away(host)
    host.docker.build("team/app:1", REF, silent=silent)
    await host.clock.advance(20)
    host.docker.delete("team/app:1")
    gone = host.clock.now()
    again = await host.agent().watch()
    assert await again.gaps() == UNSEEN
    assert again.view.gap_end == gone if silent else again.view.gap_end is not None


async def test_a_build_without_an_event_that_goes_again_is_a_gap(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    await agent.wait(60)
    host.docker.build("team/app:1", REF, silent=True)
    host.docker.delete("team/app:1")
    gone = host.clock.now()
    await agent.wait(60)
    assert (await agent.gaps(), agent.view.gap_end) == (UNSEEN, gone)


async def test_a_build_without_an_event_is_found_when_it_is_run(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    child = host.docker.build("team/app:1", REF, silent=True)
    host.docker.create("team/app:1", "box")
    await agent.wait(5)
    assert agent.usage(image).last_used_by == f"build of {child[7:19]}"


async def test_an_image_that_came_unseen_and_tells_nothing_of_itself_is_a_gap(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    child = host.docker.build("team/app:1", REF, silent=True)
    agent.engine.uninspectable.add(child)
    await agent.wait(60)
    await agent.ingestor.refresh()
    assert await agent.gaps() == UNSEEN


async def test_a_name_that_was_moved_without_an_event_counts_for_both_images(containerd: FakeHost) -> None:
    old = containerd.docker.add(pytorch_image("torch", REF))
    await containerd.agent().watch()
    await away(containerd)
    new = containerd.docker.build(REF, REF, silent=True)
    containerd.docker.run(REF, "box", rm=True)
    ran = containerd.clock.now()
    again = await containerd.agent().watch()
    assert ((await used(again, new)), again.usage(old).last_used) == ((ran, "box"), ran)


async def test_a_name_that_an_import_took_after_the_use_counts_for_the_old_image_alone(containerd: FakeHost) -> None:
    old = containerd.docker.add(pytorch_image("torch", REF))
    await containerd.agent().watch()
    await away(containerd)
    containerd.docker.run(REF, "box", rm=True)
    ran = containerd.clock.now()
    await containerd.clock.advance(5)
    new = containerd.docker.load(pytorch_image("new", REF), "import")
    again = await containerd.agent().watch()
    assert ((await used(again, old)), again.usage(new).last_used) == ((ran, "box"), None)


async def test_a_name_that_was_taken_away_before_and_given_anew_is_known_over_a_restart(containerd: FakeHost) -> None:
    containerd.docker.add(pytorch_image("torch", REF))
    agent = await containerd.agent().watch()
    await agent.wait()
    containerd.docker.delete(REF)
    new = containerd.docker.load(pytorch_image("new", REF), "import")
    await agent.wait()
    await agent.kill()
    containerd.docker.run(REF, "box", rm=True)
    ran = containerd.clock.now()
    again = await containerd.agent().watch()
    assert (await used(again, new), await again.gaps()) == ((ran, "box"), [])


# Images that cannot be told


async def test_an_image_that_could_not_be_inspected_is_asked_again_soon(host: FakeHost, image: str) -> None:
    agent = host.agent()
    agent.engine.uninspectable.add(image)
    await agent.watch()
    await agent.wait(4)
    agent.engine.uninspectable.clear()
    await agent.wait(2)
    assert await agent.reason(image) is not Reason.UNKNOWN
    asked = agent.engine.counts()["images"]
    await agent.wait(3000)
    assert agent.engine.counts()["images"] == asked == 2


async def test_an_image_that_never_can_be_inspected_is_asked_ever_more_rarely(host: FakeHost, image: str) -> None:
    agent = host.agent(ttl=timedelta(days=9))
    agent.engine.uninspectable.add(image)
    await agent.watch()
    await agent.wait(3590)
    assert agent.engine.counts()["images"] == 1 + 9  # after 5, 10, 20 ... 1280 seconds


async def test_an_image_that_goes_while_it_is_listed_is_not_taken_for_a_build_on_its_base(
    host: FakeHost, image: str
) -> None:
    child = host.docker.build("team/app:1", REF)
    agent = await host.agent().watch()
    await agent.wait(60)

    async def deleted_meanwhile() -> None:
        host.docker.delete(child)
        await host.clock.advance()  # the event is read before the listing is taken in

    agent.engine.on("images", deleted_meanwhile, after=True)
    await agent.ingestor.refresh()
    assert (await used(agent, image), agent.usage(child).present) == ((None, ""), False)
    host.docker.build("team/app:2", REF)
    await agent.wait()
    assert (await used(agent, image))[0] is not None
