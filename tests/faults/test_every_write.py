"""A kill before every single write of an agent that catches up: no use is lost."""

from pathlib import Path

from tests.support.builders import pytorch_image
from tests.support.fake_host import FakeHost, Killed, fake_host
from tests.support.times import START

REFS = ("team/early:1", "team/late:1")
APART = 60.0  # seconds: more than is read again at any start


async def catch_up_killed_before_write(host: FakeHost, number: int) -> bool:
    """Whether the agent got so far that it was killed at all."""
    agent = host.agent()
    agent.faults.fail_after(number, Killed)
    try:
        await agent.watch()
    except (BaseExceptionGroup, Killed):
        return True
    finally:
        await agent.kill()
    return False


async def test_a_kill_before_any_write_loses_no_use(tmp_path: Path) -> None:
    number, killed = 0, True
    while killed:
        folder = tmp_path / str(number)
        async with fake_host(folder) as host:
            killed = await one_kill(host, number)
        number += 1
    assert number > 3  # several writes, of which the last was not reached


async def one_kill(host: FakeHost, number: int) -> bool:
    images = [host.docker.add(pytorch_image(ref, ref)) for ref in REFS]
    agent = await host.agent().watch()
    await agent.wait(APART)
    await agent.kill()
    for ref in REFS:
        host.docker.run(ref, "box", rm=True)
        await host.clock.advance(APART)
    killed = await catch_up_killed_before_write(host, number)
    again = await host.agent().watch()
    saved = await again.saved()
    seconds = [((saved[image].last_used or START) - START).total_seconds() for image in images]
    assert seconds == [APART, 2 * APART], f"killed before write {number}"
    return killed
