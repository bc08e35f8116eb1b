"""What the monitor does from time to time: forgets old rows, and corrects what changes with time alone."""

from datetime import timedelta

import structlog

from agent.adapters.clock import Clock
from agent.fleet.collector.ingest import Collector
from agent.fleet.history.database import Database
from agent.fleet.history.errors import HistoryUnavailable
from agent.fleet.history.queries import freed
from agent.fleet.history.retention import Retention
from agent.fleet.live.live_fleet import LiveFleet

RETENTION_EVERY = 3600.0  # seconds
FIGURES_EVERY = 60.0  # seconds
# Seconds of a connection, after which all retained messages have arrived: where the broker lost some, hosts publish
# them again some seconds after the collector's birth.
SETTLED_AFTER = 60.0
LOOK_EVERY = 5.0  # seconds

log = structlog.get_logger()


async def apply_retention(database: Database, keep: timedelta, clock: Clock) -> None:
    """Delete what is too old, every hour, endlessly."""
    retention = Retention(database, keep)
    while True:
        try:
            if deleted := await retention.run(clock.now()):
                log.info("old rows were deleted", action="forget", rows=deleted)
        except HistoryUnavailable as error:
            log.warning("old rows could not be deleted; trying again later", action="forget", reason=str(error))
        await clock.sleep(RETENTION_EVERY)


async def refresh_figures(live: LiveFleet, database: Database, clock: Clock) -> None:
    """Set the figures of the last day and month, every minute, endlessly."""
    while True:
        try:
            await set_figures(live, database, clock)
        except HistoryUnavailable as error:
            log.warning("figures could not be read; trying again later", action="figures", reason=str(error))
        await clock.sleep(FIGURES_EVERY)


async def set_figures(live: LiveFleet, database: Database, clock: Clock) -> None:
    """Raises HistoryUnavailable."""
    now = clock.now()
    async with database.reader() as connection:
        freed_24h = await freed.by_host(connection, now, timedelta(days=1))
        regrets_30d = await freed.regrets_by_host(connection, now, timedelta(days=30))
    live.set_figures(freed_24h, regrets_30d)


async def end_old_alerts(live: LiveFleet, database: Database, collector: Collector, clock: Clock) -> None:
    """Once all retained messages have arrived: end the alerts in the history that ended while no monitor listened."""
    while not _settled(collector, clock):
        await clock.sleep(LOOK_EVERY)
    standing = [(alert.host, alert.id) for alert in live.alerts()]
    try:
        await database.writer.end_alerts(standing, clock.now())
    except HistoryUnavailable as error:
        log.warning("old alerts could not be ended; the next start does", action="alerts", reason=str(error))


def _settled(collector: Collector, clock: Clock) -> bool:
    link = collector.link
    return link.connected and not collector.behind and (clock.now() - link.since).total_seconds() >= SETTLED_AFTER
