"""Images mounted in containers with `--mount type=image` are in use, whatever becomes of the name that was written."""

import pytest

from agent.core.policy.decision import Outcome, Reason
from tests.support import fake_host as harness
from tests.support.builders import make_id, make_image, pytorch_image
from tests.support.fake_host import PAST_TTL, FakeHost, HostedAgent

REF = "team/torch:1"


@pytest.fixture
def image(host: FakeHost) -> str:
    host.docker.add(make_image("tool", "tool:1"))
    return host.docker.add(pytorch_image("torch", REF))


def move_the_name(host: FakeHost) -> None:
    """Another image gets the name; no event tells which one lost it."""
    host.docker.add(pytorch_image("newer", "team/newer:1"))
    host.docker.tag(make_id("newer"), REF)


async def reasons(agent: HostedAgent) -> dict[str, Reason]:
    decisions = {item.image.id: item.reason for item in (await agent.plan()).decisions}
    return {name: decisions[make_id(name)] for name in ("torch", "newer")}


@pytest.mark.parametrize("by", [REF, "id", "short"])
async def test_a_mounted_image_is_not_evicted_until_its_container_is_gone(host: FakeHost, image: str, by: str) -> None:
    agent = await host.agent(evict_local=True).watch()
    box = host.docker.create("tool:1", image_mounts=[{"id": image, "short": image[7:19]}.get(by, by)])
    await agent.wait(PAST_TTL)
    assert (await harness.sweep(agent), await agent.reason(image)) == ({}, Reason.IN_USE)
    host.docker.remove(box)
    await agent.wait()
    assert await agent.reason(image) is Reason.RECENT  # the end of the container was a use of it
    await agent.wait(PAST_TTL)
    assert await harness.sweep(agent) == {REF: Outcome.REMOVED}


async def test_after_the_name_moved_the_old_image_is_in_use_and_the_new_one_is_not_over_a_restart_too(
    host: FakeHost, image: str
) -> None:
    agent = await host.agent().watch()
    host.docker.create("tool:1", image_mounts=[REF])
    await agent.wait()
    move_the_name(host)
    await agent.wait(PAST_TTL)
    assert await reasons(agent) == {"torch": Reason.IN_USE, "newer": Reason.IDLE_TTL}
    await agent.kill()
    agent = await host.agent().watch()
    assert await reasons(agent) == {"torch": Reason.IN_USE, "newer": Reason.IDLE_TTL}


async def test_a_container_made_while_the_agent_was_away_mounts_what_the_name_meant_then(
    host: FakeHost, image: str
) -> None:
    agent = await host.agent().watch()
    await agent.kill()
    host.docker.create("tool:1", image_mounts=[REF])
    move_the_name(host)
    agent = await host.agent().watch()
    await agent.wait(PAST_TTL)
    assert (await reasons(agent))["torch"] is Reason.IN_USE


async def test_before_the_agent_ever_ran_every_image_without_a_tag_may_be_the_mounted_one(
    host: FakeHost, image: str
) -> None:
    host.docker.create("tool:1", image_mounts=[REF])
    move_the_name(host)
    host.docker.ring.clear()
    agent = await host.agent().watch()
    await agent.wait(PAST_TTL)
    assert await reasons(agent) == {"torch": Reason.IN_USE, "newer": Reason.IN_USE}


async def test_what_is_mounted_is_asked_for_once_and_only_where_something_is(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    host.docker.run("tool:1", rm=True)
    await agent.wait()
    assert "image_id" not in agent.engine.counts()
    box = host.docker.create("tool:1", image_mounts=[REF])
    for act in (host.docker.begin, host.docker.end, host.docker.begin):
        act(box)
        await agent.wait()
    assert agent.engine.counts()["image_id"] == 1
