"""A sweep that hangs is over its limit; a long one that evicts image after image is not."""

from datetime import timedelta

from agent.eviction.sweeper import Pacing
from agent.pulse import Pulse
from tests.support.builders import pytorch_image
from tests.support.fake_host import PAST_TTL, FakeHost
from tests.support.times import MINUTE

LIMIT = 30 * MINUTE


async def test_a_removal_that_never_ends_is_over_the_limit(host: FakeHost, image: str) -> None:
    agent = host.agent()
    agent.sweeper._pulse = pulse = Pulse(host.clock.monotonic)
    await agent.start()
    agent.engine.on("delete", agent.engine.hang, once=False)
    await agent.wait(PAST_TTL)
    assert pulse.over_limit() == {}
    await agent.wait(LIMIT)
    assert list(pulse.over_limit()) == ["sweep"]


async def test_a_sweep_that_evicts_for_longer_than_the_limit_is_not(host: FakeHost) -> None:
    for number in range(4):
        host.docker.add(pytorch_image(f"torch{number}", f"team/torch:{number}"))
    agent = host.agent(pacing=Pacing(pause=timedelta(minutes=20)))
    agent.sweeper._pulse = pulse = Pulse(host.clock.monotonic)
    await agent.start()
    await agent.wait(PAST_TTL)
    for _ in range(6):
        await agent.wait(10 * MINUTE)
        assert pulse.over_limit() == {}
    assert await agent.outcomes() == ["removed"] * 4
