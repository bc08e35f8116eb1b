"""Work without progress for longer than its limit counts as hanging."""

import pytest

from agent.pulse import Pulse
from tests.support.fakes.clock import FakeClock


async def test_work_over_its_limit_is_named_until_it_ends() -> None:
    clock = FakeClock()
    pulse = Pulse(clock.monotonic)
    with pulse.busy("sweep", 1800):
        await clock.advance(1800)
        assert pulse.over_limit() == {}
        await clock.advance(60)
        assert pulse.over_limit() == {"sweep": "no progress of the sweep for 31 min"}
    assert pulse.over_limit() == {}


async def test_work_that_makes_progress_does_not_hang_however_long_it_takes() -> None:
    clock = FakeClock()
    pulse = Pulse(clock.monotonic)
    with pulse.busy("sweep", 1800), pulse.busy("watch", 7200):
        for _ in range(5):
            await clock.advance(1200)
            pulse.renew("sweep")
        assert pulse.over_limit() == {}
        await clock.advance(1801)
        assert list(pulse.over_limit()) == ["sweep", "watch"]


async def test_work_that_fails_has_ended() -> None:
    clock = FakeClock()
    pulse = Pulse(clock.monotonic)
    with pytest.raises(ValueError, match="x"), pulse.busy("sweep", 1):
        raise ValueError("x")
    await clock.advance(10)
    assert pulse.over_limit() == {}


async def test_waiting_for_work_does_not_hang() -> None:
    clock = FakeClock()
    pulse = Pulse(clock.monotonic)
    await clock.advance(10**7)
    assert pulse.over_limit() == {}
