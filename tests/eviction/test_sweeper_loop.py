"""The sweeper sleeps until something is due or changes, and only then."""

from datetime import timedelta

import pytest

from agent.adapters import overrides
from agent.adapters.engine import EngineUnavailable
from agent.core.policy.decision import Reason
from agent.core.policy.overrides import Overrides, Pin
from tests.support.builders import pytorch_image
from tests.support.fake_host import TTL, FakeHost
from tests.support.fakes.engine import Call

REF = "team/torch:1"
MINUTE = 60.0  # seconds
DAY = timedelta(days=1)


@pytest.fixture
def image(host: FakeHost) -> str:
    return host.docker.add(pytorch_image("torch", REF))


async def test_it_sleeps_until_the_deadline(host: FakeHost, image: str) -> None:
    agent = await host.agent().start()
    await agent.wait(TTL.total_seconds() - 1)
    assert agent.engine.mutations == []
    await agent.wait(1.5)
    assert agent.engine.mutations == [Call("delete", image)]


async def test_a_use_moves_the_deadline(host: FakeHost, image: str) -> None:
    agent = await host.agent().start()
    await agent.wait(600)
    host.docker.run(REF, rm=True)
    await agent.wait(TTL.total_seconds() - 1)
    assert agent.engine.mutations == []
    await agent.wait(2)
    assert agent.engine.mutations == [Call("delete", image)]


async def test_it_wakes_when_a_pin_is_taken_away(host: FakeHost, image: str) -> None:
    pin = Pin(id=image, reference=REF, at=host.clock.now())
    overrides.change(host.folder, lambda _: Overrides(pins=(pin,)))
    agent = await host.agent(ttl=timedelta(seconds=30), min_age=timedelta()).start()
    await agent.wait(MINUTE)
    assert await agent.reason(image) is Reason.PINNED
    overrides.change(host.folder, lambda _: Overrides())
    await agent.wait(10)
    assert (await agent.reason(image), agent.usage(image).protected) == (Reason.RECENT, False)
    await agent.wait(30)
    assert host.docker.images == {}


async def test_it_wakes_when_a_container_goes(host: FakeHost, image: str) -> None:
    cid = host.docker.create(REF)
    agent = await host.agent(ttl=timedelta(seconds=30), min_age=timedelta()).start()
    await agent.wait(MINUTE)
    assert set(host.docker.images) == {image}
    host.docker.remove(cid)
    await agent.wait(31)
    assert host.docker.images == {}


async def test_a_failed_sweep_is_tried_again_soon(host: FakeHost, image: str) -> None:
    agent = await host.agent(ttl=timedelta(seconds=30), min_age=timedelta()).start()
    agent.engine.on("images", EngineUnavailable(404, "a list"))
    await agent.wait(35)
    assert set(host.docker.images) == {image}
    await agent.wait(10)
    assert host.docker.images == {}


async def test_a_burst_of_events_is_one_new_plan(host: FakeHost, image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = await host.agent().start()
    sweeps = 0
    real = agent.sweeper.sweep

    async def counted() -> object:
        nonlocal sweeps
        sweeps += 1
        return await real()

    monkeypatch.setattr(agent.sweeper, "sweep", counted)
    for _ in range(50):
        host.docker.run(REF, rm=True)
        await agent.wait(0.001)
    await agent.wait(5)
    assert sweeps <= 2
