"""A kill before every single write of an agent that catches up: no use is lost, whatever was written first."""

from pathlib import Path
from typing import Any

from tests.support.builders import pytorch_image
from tests.support.fake_host import FakeHost, HostedAgent, Killed, fake_host
from tests.support.times import START

REFS = ("team/early:1", "team/late:1")
APART = 60.0  # seconds: more than is read again at any start


def die_before_write(agent: HostedAgent, number: int) -> list[str]:
    """Let an agent do so many pieces of work on its state, and then nothing more. What it does is noted."""
    work, done = agent.store.run, list[str]()

    async def run(piece: Any) -> Any:
        if len(done) >= number:
            raise Killed
        done.append(piece.__qualname__)
        return await work(piece)

    agent.store.run = run  # type: ignore[method-assign,assignment]
    return done


async def catch_up_killed_before_write(world: FakeHost, number: int) -> bool:
    """Whether the agent got so far that it was killed at all."""
    agent = world.agent()
    done = die_before_write(agent, number)
    try:
        await agent.watch()
    except (BaseExceptionGroup, Killed):
        return True
    finally:
        await agent.kill()
    return len(done) > number


async def test_a_kill_before_any_write_loses_no_use(tmp_path: Path) -> None:
    number, killed = 0, True
    while killed:
        folder = tmp_path / str(number)
        async with fake_host(folder) as world:
            killed = await one_kill(world, number)
        number += 1
    assert number > 3  # several writes, of which the last was not reached


async def one_kill(world: FakeHost, number: int) -> bool:
    images = [world.docker.add(pytorch_image(ref, ref)) for ref in REFS]
    agent = await world.agent().watch()
    await agent.wait(APART)
    await agent.kill()
    for ref in REFS:
        world.docker.run(ref, "box", rm=True)
        await world.clock.advance(APART)
    killed = await catch_up_killed_before_write(world, number)
    again = await world.agent().watch()
    saved = await again.saved()
    seconds = [((saved[image].last_used or START) - START).total_seconds() for image in images]
    assert seconds == [APART, 2 * APART], f"killed before write {number}"
    return killed
