"""A kill before every single write of an agent that catches up: no use is lost, whatever was written first."""

from pathlib import Path

from tests.support import fake_host as harness
from tests.support.builders import pytorch_image
from tests.support.fake_host import FakeHost
from tests.support.fakes.clock import START

REFS = ("team/early:1", "team/late:1")
APART = 60.0  # seconds: more than is read again at any start


async def catch_up_killed_before_write(world: FakeHost, number: int) -> bool:
    """Whether the agent got so far that it was killed at all."""
    agent = world.agent()
    agent.faults.fail_after(number, harness.Killed)
    try:
        await agent.watch()
    except (BaseExceptionGroup, harness.Killed):
        return True
    finally:
        await agent.kill()
    return False


async def test_a_kill_before_any_write_loses_no_use(tmp_path: Path) -> None:
    number, killed = 0, True
    while killed:
        folder = tmp_path / str(number)
        async with harness.fake_host(folder) as world:
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
