"""The agent as a process: runs its loops in one TaskGroup, and stops them on SIGTERM and SIGINT."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from agent import __version__, aio
from agent.adapters.clock import Clock, SystemClock
from agent.adapters.docker import factory
from agent.adapters.engine import Engine, EngineError
from agent.adapters.sqlite import state_dir
from agent.adapters.sqlite.store import Store
from agent.config.settings import Settings
from agent.core.protocol.alerts import AlertId
from agent.core.protocol.topics import slug
from agent.daemon import build, housekeeping, no_effect
from agent.daemon.build import Components

log = structlog.get_logger()

HOST_RETRY_MAX = 30.0  # seconds between attempts to learn the host's name from the engine
STOP_RETRY = 5.0  # seconds that a stop may take before the cancellation is repeated


async def run(settings: Settings, folder: Path, source: Path | None) -> None:
    """Run the agent until SIGTERM or SIGINT. The caller has prepared and locked the folder. Raises StateError.

    `source`: the configuration file; None if there is none.
    """
    clock = SystemClock()
    store, word = state_dir.open_store(folder, clock.now())
    components = build.make_agent(settings, store, folder, clock, factory.make_engine(settings.docker))
    if word:
        log.error(word, action="open-state")
        components.host_report.raise_alert(AlertId.STATE_DAMAGED, word, clock.now(), "critical")
    for alert, message in no_effect.alerts(settings, folder, clock.now()).items():
        log.warning(message, action="configure")
        components.host_report.raise_alert(alert, message, clock.now())
    if store.copied:
        log.warning(store.copied, action="state-copied")
        components.host_report.raise_alert(AlertId.STATE_COPIED, store.copied, clock.now())
    try:
        with _stopping_on_signals():
            await _run_loops(settings, folder, components, clock, source)
    except asyncio.CancelledError:
        log.info("stopped", action="stop")
    finally:
        await store.close()


async def _run_loops(
    settings: Settings, folder: Path, components: Components, clock: Clock, source: Path | None
) -> None:
    host = await learn_host(settings, components.store, components.engine, clock)
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
        "forget-old-history": housekeeping.prune_history(settings, components, clock),
        "keep-reserve": housekeeping.keep_reserve(folder, clock),
        "tidy-looks": housekeeping.remove_left_containers(
            factory.make_inside(settings.docker), folder, components.watcher.ready, clock
        ),
    }
    if publisher is not None:
        loops["publisher"] = publisher.run()
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


@contextmanager
def _stopping_on_signals() -> Iterator[None]:
    """Cancel the current task on SIGTERM and SIGINT, until it has ended. SIGHUP changes nothing."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101 - run inside asyncio.run
    again: list[asyncio.TimerHandle] = []

    def stop() -> None:
        # A TaskGroup before Python 3.13 forgets a cancellation that comes while one of its tasks fails: repeat it.
        task.cancel()
        again.append(loop.call_later(STOP_RETRY, stop))

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, _ignore_hangup)
    try:
        yield
    finally:
        for handle in again:
            handle.cancel()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        loop.remove_signal_handler(signal.SIGHUP)
        ignore_hangups()


def ignore_hangups() -> None:
    """Ignore SIGHUP for the whole life of the process: a terminal that closes must not end an agent."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _ignore_hangup() -> None:
    log.warning("SIGHUP was ignored: restart the agent to read its configuration again", action="signal")
