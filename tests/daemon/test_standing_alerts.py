"""The running agent lists its standing alerts in a file; it leaves none when it ends."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent.adapters import alerts_file
from agent.core.protocol import payloads
from agent.core.protocol.alerts import AlertId
from agent.daemon import standing_alerts
from agent.reporting.host_report import HostReport
from tests.support import proc
from tests.support.fakes.clock import FakeClock
from tests.support.times import START

FULL = payloads.Alert(id=AlertId.STATE_FULL, severity="critical", message="full", since=START)


@asynccontextmanager
async def recording(folder: Path, report: HostReport, clock: FakeClock) -> AsyncIterator[None]:
    task = asyncio.create_task(standing_alerts.record(folder, report, clock))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def written(folder: Path, clock: FakeClock, alerts: list[payloads.Alert]) -> alerts_file.Standing:
    """The file, once it lists these alerts."""

    async def look() -> alerts_file.Standing | None:
        found = alerts_file.load(folder)
        return found if found is not None and found.alerts == alerts else None

    return await proc.eventually_async(look) or alerts_file.Standing(at=START, alerts=[])


async def test_the_file_follows_the_alerts_and_is_removed_at_the_end(tmp_path: Path) -> None:
    report, clock = HostReport(), FakeClock()
    async with recording(tmp_path, report, clock):
        assert (await written(tmp_path, clock, [])).at == START
        report.raise_alert(AlertId.STATE_FULL, "full", START, "critical")
        await written(tmp_path, clock, [FULL])
        report.clear_alert(AlertId.STATE_FULL)
        await written(tmp_path, clock, [])
    assert alerts_file.load(tmp_path) is None


async def test_its_time_shows_that_the_agent_works(tmp_path: Path) -> None:
    report, clock = HostReport(), FakeClock()
    async with recording(tmp_path, report, clock):
        await written(tmp_path, clock, [])
        await clock.advance(alerts_file.INTERVAL)

        async def renewed() -> bool:
            found = alerts_file.load(tmp_path)
            return found is not None and found.at == clock.now()

        await proc.eventually_async(renewed)


async def test_a_folder_that_cannot_be_written_ends_nothing_and_is_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, clock = HostReport(), FakeClock()
    tries = list[int]()

    def fail(_folder: Path, _standing: alerts_file.Standing) -> None:
        tries.append(1)
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(alerts_file, "save", fail)
    with capture_logs() as logged:
        async with recording(tmp_path, report, clock):
            for count in (1, 2, 3):

                async def tried(count: int = count) -> bool:
                    return len(tries) >= count

                await proc.eventually_async(tried)
                report.raise_alert(AlertId.STATE_FULL, f"full {count}", START, "critical")
    assert [line["action"] for line in logged if line["action"] != "alert"] == ["alerts-file"]
