"""The agent as a process: runs its loops in one TaskGroup, and stops them on SIGTERM and SIGINT."""

import asyncio
from functools import partial
from pathlib import Path

import structlog

from agent import __version__, aio, logs
from agent.adapters import signals, systemd
from agent.adapters.clock import Clock, SystemClock
from agent.adapters.docker import factory
from agent.adapters.engine import Engine, EngineError
from agent.adapters.sqlite import state_dir
from agent.adapters.sqlite.store import Store
from agent.config.settings import Settings
from agent.core.protocol.alerts import AlertId
from agent.core.protocol.topics import slug
from agent.daemon import build, housekeeping, no_effect, standing_alerts, summary, watchdog
from agent.daemon.build import Components

log = structlog.get_logger()

HOST_RETRY_MAX = 30.0  # seconds between attempts to learn the host's name from the engine


async def run(settings: Settings, folder: Path, source: Path | None) -> None:
    """Run the agent until SIGTERM or SIGINT. The caller has prepared and locked the folder. Raises StateError.

    `source`: the configuration file; None if there is none.
    """
    clock = SystemClock()
    store, word = state_dir.open_store(folder, clock.now())
    components = build.make_agent(settings, store, folder, clock, factory.make_engine(settings.docker))
    if word:
        components.host_report.raise_alert(AlertId.STATE_DAMAGED, word, clock.now(), "critical")
    for alert, message in no_effect.alerts(settings, folder, clock.now()).items():
        components.host_report.raise_alert(alert, message, clock.now())
    if store.copied:
        components.host_report.raise_alert(AlertId.STATE_COPIED, store.copied, clock.now())
    describe = partial(watchdog.describe, components.ingestor.view, components.host_report)
    try:
        with signals.stopping("agent"):
            async with watchdog.notifying(systemd.notifier(), components.pulse, describe, clock):
                await _run_loops(settings, folder, components, clock, source)
    except asyncio.CancelledError:
        log.info("stopped", action="stop")
    finally:
        await store.close()


async def _run_loops(
    settings: Settings, folder: Path, components: Components, clock: Clock, source: Path | None
) -> None:
    host = await learn_host(settings, components.store, components.engine, clock)
    logs.configure(settings.agent.log, host=host)
    log.info(
        "starting",
        action="start",
        host=host,
        version=__version__,
        mode=settings.agent.mode,
        config=str(source or "built-in defaults"),
        state_dir=str(folder),
    )
    publisher = build.make_agent_publisher(settings, host, components, clock) if settings.mqtt.url else None
    loops = {
        "watcher": components.watcher.run(),
        "sweeper": components.sweeper.run(),
        "info": housekeeping.report_info(settings, components, clock),
        "daily-summary": summary.log_daily(components, clock),
        "standing-alerts": standing_alerts.record(folder, components.host_report, clock),
        "forget-old-history": housekeeping.prune_history(settings, components, clock),
        "keep-reserve": housekeeping.keep_reserve(folder, clock),
        "tidy-looks": housekeeping.remove_left_containers(
            factory.make_inside(settings.docker), folder, components.watcher.ready, clock
        ),
    }
    if publisher is not None:
        loops["publisher"] = publisher.run()
    if settings.http.address is not None:
        loops["http"] = build.make_http_server(settings, components, clock, folder).run()
    async with asyncio.TaskGroup() as group:
        for name, loop in loops.items():
            group.create_task(aio.run_forever(loop, name), name=name)


async def learn_host(settings: Settings, store: Store, engine: Engine, clock: Clock) -> str:
    """The host's name: as configured, else as used last, else the engine's name, for which this waits."""
    host = settings.agent.host or store.host
    wait = 0.5
    while not host:
        try:
            host = slug((await engine.connect()).name)
        except EngineError as error:
            log.warning("no engine yet, and no agent.host is set; waiting", action="start", error=str(error))
            await clock.sleep(wait)
            wait = min(HOST_RETRY_MAX, wait * 2)
        finally:
            await engine.close()
    if host != store.host:
        await store.name_host(host)
    return host
