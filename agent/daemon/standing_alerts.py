"""Writes the standing alerts to a file in the state folder, so that `torchkeeper check` can list them."""

import asyncio
from contextlib import suppress
from pathlib import Path

import structlog

from agent import aio
from agent.adapters import alerts_file
from agent.adapters.clock import Clock
from agent.reporting.host_report import HostReport

log = structlog.get_logger()


async def record(folder: Path, host_report: HostReport, clock: Clock) -> None:
    """Write the alerts when they change, and again in each interval, for ever. Remove the file at the end.

    If it cannot be written, it becomes old, and `check` fails because of that.
    """
    failed = False
    try:
        while True:
            host_report.alerts_changed.clear()
            standing = alerts_file.Standing(at=clock.now(), alerts=list(host_report.alerts.values()))
            try:
                await asyncio.to_thread(alerts_file.save, folder, standing)
                failed = False
            except OSError as error:
                if not failed:
                    log.warning("cannot write the list of alerts for `check`", action="alerts-file", error=str(error))
                failed = True
            await aio.first(host_report.alerts_changed.wait(), clock.sleep(alerts_file.INTERVAL))
    finally:
        with suppress(OSError):
            alerts_file.remove(folder)
