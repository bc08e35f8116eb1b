"""The central monitor as a process: collects, shows and keeps house in one TaskGroup, until SIGTERM or SIGINT."""

import asyncio
import secrets
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import structlog

from agent import __version__, aio
from agent.adapters import signals
from agent.adapters.clock import Clock, SystemClock
from agent.adapters.mqtt import broker
from agent.config.settings import ConfigError, Settings
from agent.core.protocol.topics import Topics, slug, valid_host
from agent.fleet import upkeep
from agent.fleet.collector.committer import Committer
from agent.fleet.collector.ingest import Collector
from agent.fleet.collector.publishing import WatermarkPublisher
from agent.fleet.history.database import Database, open_database
from agent.fleet.history.errors import HistoryUnavailable
from agent.fleet.history.lease import Lease, LeaseTaken
from agent.fleet.history.queries import decisions
from agent.fleet.live.live_fleet import LiveFleet
from agent.fleet.web import access_rules, app, documents, server
from agent.fleet.web.stream import STREAM, Stream

PAGE = Path(__file__).parent / "page"
UNREACHABLE_AFTER = timedelta(seconds=60)  # without a broker; before that the monitor counts as connecting

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """The parts of one monitor, built and not yet running."""

    settings: Settings
    clock: Clock
    database: Database
    live: LiveFleet
    watermarks: WatermarkPublisher
    committer: Committer
    collector: Collector
    lease: Lease

    def health(self) -> documents.Health:
        """What does not work, if anything."""
        link = self.collector.link
        away = not link.connected and self.clock.now() - link.since >= UNREACHABLE_AFTER
        return documents.Health(
            broker="connected" if link.connected else "unreachable" if away else "connecting",
            database="failing" if self.committer.retry.error else "working",
            error=link.error or self.committer.retry.error or self.watermarks.error or None,
            behind_events=self.collector.behind,
            incomplete_hosts=self.committer.inventories.waiting,
            last_commit=self.committer.last_commit,
        )


async def run(settings: Settings) -> None:
    """Run the monitor until SIGTERM or SIGINT. Raises ConfigError, HistoryError and LeaseTaken."""
    access_rules.load(settings.monitor)  # an address that is open to everybody is refused before anything is created
    clock, identity = SystemClock(), _identity(settings)
    connect = broker.collector_connector(broker.collector_options(settings.mqtt, identity))
    try:
        with signals.stopping("monitor"):
            database = await open_database(settings.monitor.database)
            try:
                await _run(await build(settings, identity, database, connect, clock))
            finally:
                await database.close()
    except asyncio.CancelledError:
        log.info("stopped", action="stop")


def _identity(settings: Settings) -> str:
    """The id of the collector. Only the one of `mqtt.collector` counts for the hosts, so that is the default."""
    identity = settings.monitor.id or settings.mqtt.collector
    if not valid_host(identity):
        raise ConfigError(f"monitor.id: {identity!r} cannot be part of a topic; try {slug(identity)!r}")
    return identity


async def build(
    settings: Settings, identity: str, database: Database, connect: broker.ConnectCollector, clock: Clock
) -> Monitor:
    """One monitor on an open database, which begins as the last one ended. Raises LeaseTaken."""
    lease = Lease(database.transaction, identity, clock)
    await lease.acquire()
    live = await _load_live(database)
    topics = Topics(settings.mqtt.prefix, "+")
    watermarks = WatermarkPublisher(settings.mqtt.prefix, identity, clock)
    committer = Committer(
        topics, database.writer, clock, watermarks=watermarks, show=live.apply, took=live.counters.commit_took
    )
    collector = Collector(
        connect=connect, topics=topics, identity=identity, clock=clock, committer=committer, watermarks=watermarks
    )
    return Monitor(
        settings=settings,
        clock=clock,
        database=database,
        live=live,
        watermarks=watermarks,
        committer=committer,
        collector=collector,
        lease=lease,
    )


async def _load_live(database: Database) -> LiveFleet:
    async with database.reader() as connection:
        last = await decisions.newest_id(connection)
    rows, streams = await database.writer.load_rows(), await database.writer.load_streams()
    return LiveFleet(secrets.token_hex(4), rows, last_decision=last, streams=streams)


def make_web(monitor: Monitor) -> server.Application:
    """The application with everything that it answers. Raises ConfigError."""
    services = app.Services(
        live=monitor.live,
        database=monitor.database,
        settings=monitor.settings.monitor,
        health=monitor.health,
        clock=monitor.clock,
        mqtt_name=" ".join(monitor.settings.mqtt.urls),
        mqtt_prefix=monitor.settings.mqtt.prefix,
        collector=_identity(monitor.settings),
        incomplete=lambda: monitor.committer.inventories.waiting,
        complete=monitor.committer.inventories.store_of,
    )
    return app.make_app(services, PAGE)


async def _run(monitor: Monitor) -> None:
    listen = monitor.settings.monitor.listen
    log.info("starting", action="start", version=__version__, listen=listen)
    try:
        made = make_web(monitor)
        async with server.serving(made, *monitor.settings.monitor.address):
            log.info("the page is served", action="listen", url=f"http://{listen}")
            await _run_loops(monitor, made[STREAM])
    finally:
        await _release(monitor.lease)


async def _run_loops(monitor: Monitor, stream: Stream) -> None:
    live, database, clock = monitor.live, monitor.database, monitor.clock
    loops = {
        "collector": monitor.collector.run(),
        "inventories": monitor.committer.inventories.run(lambda: monitor.collector.is_busy),
        "lease": monitor.lease.keep(),
        "ticks": stream.watch(),
        "retention": upkeep.apply_retention(database, monitor.settings.monitor.retention, clock),
        "figures": upkeep.refresh_figures(live, database, clock),
    }
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(upkeep.end_old_alerts(live, database, monitor.collector, clock), name="end-old-alerts")
            for name, loop in loops.items():
                group.create_task(aio.run_forever(loop, name), name=name)
    except BaseExceptionGroup as failed:
        taken, bugs = failed.split(LeaseTaken)
        if taken is None or bugs is not None:
            raise
        raise taken.exceptions[0] from None


async def _release(lease: Lease) -> None:
    """Let the next monitor start at once. Without a database it finds out by itself that this one is gone."""
    try:
        await lease.release()
    except HistoryUnavailable as error:
        log.warning("the lease was not released", action="lease", reason=str(error))
