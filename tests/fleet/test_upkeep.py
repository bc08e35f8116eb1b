"""What the monitor does from time to time."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from agent.core.policy.decision import Mode
from agent.core.protocol import payloads
from agent.fleet import upkeep
from agent.fleet.history.database import Database
from agent.fleet.history.errors import HistoryUnavailable
from agent.fleet.history.retention import Retention
from agent.fleet.history.tables import alerts, sweeps
from agent.fleet.live.live_fleet import LiveFleet
from agent.fleet.upkeep import FIGURES_EVERY, SETTLED_AFTER
from tests.support import history
from tests.support.collecting import CollectorRig, collector_rig
from tests.support.messages import make_alert, make_decision, make_outcome
from tests.support.times import START

DISK, CLOCK_ALERT = "alerts/disk", "alerts/clock"


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[CollectorRig]:
    async with collector_rig(tmp_path) as made:
        yield made


async def standing(database: Database) -> dict[str, bool]:
    """Whether each alert in the history stands."""
    return {row["alert_id"]: row["until"] is None for row in await history.rows(database, alerts)}


async def test_an_alert_that_ended_while_no_monitor_ran_is_ended_once_all_retained_messages_have_come(
    rig: CollectorRig, tmp_path: Path
) -> None:
    async with rig.running():
        for rest in (DISK, CLOCK_ALERT):
            rig.send_raw(rest, make_alert(rest.rpartition("/")[2]).encode(), retain=True)
        await rig.until(lambda: sum(len(batch.changes) for batch, _ in rig.shown) == 2)
    rig.send_raw(DISK, b"", retain=True)  # nobody listens
    async with collector_rig(tmp_path, server=rig.server) as second, second.running():
        live = LiveFleet("boot")
        await second.until(lambda: second.shown)
        for batch, committed in second.shown:
            live.apply(batch, committed)
        ending = asyncio.create_task(upkeep.end_old_alerts(live, second.database, second.collector, second.clock))
        await second.pass_time(SETTLED_AFTER - 10)
        assert await standing(second.database) == {"disk": True, "clock": True}
        await second.until(ending.done, tick=1)
        assert await standing(second.database) == {"disk": False, "clock": True}


async def test_the_figures_of_the_last_day_shrink_with_time_alone(rig: CollectorRig) -> None:
    async with rig.running():
        rig.send(make_decision(1), make_outcome(2))
        await rig.until(lambda: not rig.unacknowledged())
    live = LiveFleet("boot", await rig.database.writer.load_rows())
    await upkeep.set_figures(live, rig.database, rig.clock)
    assert [row.freed_24h_bytes for row in live.rows()] == [5_000_000_000]
    rig.clock.jump(timedelta(days=1, seconds=1))
    await upkeep.set_figures(live, rig.database, rig.clock)
    assert [row.freed_24h_bytes for row in live.rows()] == [0]


async def test_figures_and_old_rows_are_tried_again_after_the_database_was_away(
    rig: CollectorRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    async def fail(*_: object) -> int:
        calls.append("tried")
        raise HistoryUnavailable("the disk is full")

    monkeypatch.setattr(upkeep, "set_figures", fail)
    monkeypatch.setattr(Retention, "run", fail)
    loops = [
        upkeep.refresh_figures(LiveFleet("boot"), rig.database, rig.clock),
        upkeep.apply_retention(rig.database, timedelta(days=400), rig.clock),
    ]
    for loop, every in zip(loops, (FIGURES_EVERY, upkeep.RETENTION_EVERY), strict=True):
        task = asyncio.create_task(loop)
        calls.clear()
        await rig.clock.advance(2 * every)
        assert calls == 3 * ["tried"]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_old_rows_are_deleted_when_the_monitor_starts(rig: CollectorRig) -> None:
    writing = await history.Collector.start(rig.database)
    await writing.receive(history.event(make_sweep_event()))
    rig.clock.jump(timedelta(days=100))
    task = asyncio.create_task(upkeep.apply_retention(rig.database, timedelta(days=400), rig.clock))
    await rig.until(lambda: no_rows(rig.database))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def make_sweep_event() -> payloads.Event:
    data = payloads.SweepData(mode=Mode.ENFORCE, reasons={}, outcomes={}, estimated_bytes=0, measured_bytes=None)
    stored = data.stored()
    return payloads.event(host="gpu-07", epoch="e", seq=1, kind=data.type, at=START, subject=None, data=stored)


async def no_rows(database: Database) -> bool:
    return not await history.rows(database, sweeps)
