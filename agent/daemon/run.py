"""The agent as a process: runs its loops in one TaskGroup, and stops them on SIGTERM and SIGINT."""

import asyncio
from collections.abc import Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from agent import __version__, aio, logs
from agent.adapters import signals, systemd
from agent.adapters.clock import Clock, SystemClock
from agent.adapters.docker import factory
from agent.adapters.engine import Engine, EngineError
from agent.adapters.sqlite import state_dir
from agent.adapters.sqlite.store import Store
from agent.config.settings import Settings
from agent.config.source import SettingsSource
from agent.core.protocol.alerts import AlertId
from agent.core.protocol.topics import slug
from agent.daemon import build, housekeeping, in_force, standing_alerts, summary, watchdog
from agent.daemon.build import Components
from agent.daemon.in_force import SettingsInForce
from agent.daemon.reload import Reloader

log = structlog.get_logger()

HOST_RETRY_MAX = 30.0  # seconds between attempts to learn the host's name from the engine


async def run(settings: Settings, folder: Path, source: SettingsSource) -> None:
    """Run the agent until SIGTERM or SIGINT. The caller has prepared and locked the folder. Raises StateError.

    `source`: what the settings were read from; on SIGHUP, or if its file changes, they are read again.
    """
    clock = SystemClock()
    store, word = state_dir.open_store(folder, clock.now())
    components = build.make_agent(settings, store, folder, clock, factory.make_engine(settings.docker))
    if word:
        components.host_report.raise_alert(AlertId.STATE_DAMAGED, word, clock.now(), "critical")
    in_force.show_useless_settings(settings, components.host_report, folder, clock.now())
    present = SettingsInForce(settings)
    reloader = build.make_reloader(source, present, components, folder, clock)
    if store.copied:
        components.host_report.raise_alert(AlertId.STATE_COPIED, store.copied, clock.now())
    describe = partial(watchdog.describe, components.ingestor.view, components.host_report)
    try:
        with signals.stopping("agent", reloader.request):
            async with watchdog.notifying(systemd.notifier(), components.pulse, describe, clock):
                await _run_loops(present, folder, components, clock, reloader, source.file)
    except asyncio.CancelledError:
        log.info("stopped", action="stop")
    finally:
        await store.close()


async def _run_loops(
    in_force: SettingsInForce,
    folder: Path,
    components: Components,
    clock: Clock,
    reloader: Reloader,
    file: Path | None,
) -> None:
    settings = in_force.settings
    async with asyncio.TaskGroup() as group:
        _start(group, _first_loops(in_force, folder, components, clock))
        host = await learn_host(settings, components.store, components.engine, clock)
        logs.configure(settings.agent.log, host=host)
        log.info(
            "starting",
            action="start",
            host=host,
            version=__version__,
            mode=settings.agent.mode,
            config=str(file or "built-in defaults"),
            state_dir=str(folder),
        )
        _start(group, {**_loops(in_force, host, folder, components, clock, reloader), "reload": reloader.run()})


def _start(group: asyncio.TaskGroup, loops: Mapping[str, Coroutine[Any, Any, None]]) -> None:
    for name, loop in loops.items():
        group.create_task(aio.run_forever(loop, name), name=name)


def _first_loops(
    in_force: SettingsInForce, folder: Path, components: Components, clock: Clock
) -> dict[str, Coroutine[Any, Any, None]]:
    """The loops that also run while the agent waits for the engine to learn the host's name: others watch by them."""
    loops = {"standing-alerts": standing_alerts.record(folder, components.host_report, clock)}
    if in_force.settings.http.address is not None:
        loops["http"] = build.make_http_server(in_force, components, clock, folder).run()
    return loops


def _loops(
    in_force: SettingsInForce, host: str, folder: Path, components: Components, clock: Clock, reloader: Reloader
) -> dict[str, Coroutine[Any, Any, None]]:
    settings = in_force.settings
    reporting = build.make_reporting(settings, host, components, clock) if settings.mqtt.url else None
    loops = {
        "watcher": components.watcher.run(),
        "sweeper": components.sweeper.run(),
        "info": housekeeping.report_info(in_force, components, clock),
        "daily-summary": summary.log_daily(components, clock),
        "forget-old-history": housekeeping.prune_history(in_force, components, clock),
        "keep-reserve": housekeeping.keep_reserve(folder, clock),
        "tidy-looks": housekeeping.remove_left_containers(
            factory.make_inside(settings.docker), folder, components.watcher.ready, clock
        ),
    }
    if reporting is not None:
        loops["publisher"], loops["credentials"] = reporting.publisher.run(), reporting.credentials.run()
        reloader.on_request.append(reporting.credentials.request)
    return loops


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
