"""The agent: builds the adapters, runs the loops in one TaskGroup, stops them on SIGTERM and SIGINT."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from agent import __version__, aio
from agent.adapters.clock import Clock, SystemClock
from agent.adapters.docker.engine import DockerEngine
from agent.adapters.docker.inside import DockerInside
from agent.adapters.engine import Engine, EngineError, EngineInfo
from agent.adapters.sqlite import database, state_dir
from agent.adapters.sqlite.store import Store
from agent.config import settings as config
from agent.core.protocol import payloads
from agent.core.usage.attribution import IgnoredContainers
from agent.daemon import look_inside, no_effect
from agent.daemon.build import make_ingestor, make_sweep_steps
from agent.daemon.timing import Timing
from agent.eviction import plan_reporter
from agent.eviction.sweeper import Pacing, Sweeper
from agent.reporting.host_report import HostReport
from agent.tracking import layer_probes
from agent.tracking.ingestor import EventIngestor
from agent.tracking.layer_probes import LayerProbes
from agent.tracking.watcher import Watcher

log = structlog.get_logger()

INFO_POLL = 5.0  # seconds until a new engine shows in `info`
HOST_RETRY_MAX = 30.0  # seconds between attempts to learn the host's name from the engine
RESERVE_INTERVAL = 600.0  # seconds until the reserve is looked at again
COMMAND_PROBE_TIMEOUT = 60.0  # seconds that a command which ends waits for layers to be read: nothing else waits for it
ONE_DAY = 86400.0  # seconds
STOP_RETRY = 5.0  # seconds for a stop to say goodbye, before it is asked again
# What the loops raise; an earlier run may have left any of it on the broker.
ALERTS = (
    *("engine-down", "engine-observe-only", "holds-unreadable", "state-copied"),
    *("state-damaged", "state-full", "sweep-failed"),
    *plan_reporter.ALERTS,
    *no_effect.ALERTS,
)


@dataclass(frozen=True, slots=True)
class Components:
    """The loops of one agent, built and not yet running."""

    engine: Engine
    store: Store
    host_report: HostReport
    ingestor: EventIngestor
    watcher: Watcher
    sweeper: Sweeper


def build(
    settings: config.Settings,
    store: Store,
    folder: Path,
    clock: Clock,
    engine: Engine,
    patience: float = layer_probes.PATIENCE,
    timing: Timing = Timing(),
) -> Components:
    """Wire one agent together. `patience`: seconds that a listing waits for layers to be read."""
    host_report = HostReport()
    ignored = IgnoredContainers(settings.usage.ignore_containers)
    probes = LayerProbes(
        engine,
        store,
        wanted=settings.images.probe_layers,
        lifts=settings.images.ambiguous == "evict",
        known=settings.images.known,
        patience=patience,
    )
    ingestor = make_ingestor(
        engine,
        store,
        clock,
        gap_tolerance=settings.usage.gap_tolerance,
        probes=probes,
        ignored=ignored,
        timing=timing.tracking,
    )
    watcher = Watcher(engine, ingestor, clock, host_report, timing.tracking)
    rules = settings.core_policy()
    sweeper = Sweeper(
        ingestor,
        store,
        clock,
        host_report,
        steps=make_sweep_steps(engine, ingestor, store, clock, host_report, rules),
        rules=rules,
        folder=folder,
        pacing=Pacing(pause=settings.limits.pause, grace=settings.policy.change_grace, timing=timing.eviction),
    )
    return Components(engine, store, host_report, ingestor, watcher, sweeper)


async def run(settings: config.Settings, folder: Path, source: Path | None) -> None:
    """Be the agent until SIGTERM or SIGINT. The folder is prepared and locked by the caller. Raises StateError.

    `source`: the configuration file that was read; None: there is none.
    """
    clock = SystemClock()
    store, word = state_dir.open_store(folder, clock.now())
    components = build(settings, store, folder, clock, DockerEngine(settings.docker.url))
    if word:
        log.error(word, action="open-state")
        components.host_report.raise_alert("state-damaged", word, clock.now(), "critical")
    for alert, message in no_effect.alerts(settings, folder, clock.now()).items():
        log.warning(message, action="configure")
        components.host_report.raise_alert(alert, message, clock.now())
    if store.copied:
        log.warning(store.copied, action="state-copied")
        components.host_report.raise_alert("state-copied", store.copied, clock.now())
    try:
        with _stopping_on_signals():
            await _run_loops(settings, folder, components, clock, source)
    except asyncio.CancelledError:
        log.info("stopped", action="stop")
    finally:
        await store.close()


async def _run_loops(
    settings: config.Settings, folder: Path, components: Components, clock: Clock, source: Path | None
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
    loops = {
        "watcher": components.watcher.run(),
        "sweeper": components.sweeper.run(),
        "info": _show_info(settings, components, clock),
        "forget-old-history": _forget(settings, components, clock),
        "keep-reserve": _keep_reserve(folder, clock),
        "tidy-looks": look_inside.keep_tidy(DockerInside(settings.docker.url), folder, components.watcher.ready, clock),
    }
    if settings.mqtt.url:
        loops["publisher"] = _publish(settings, host, components, clock)
    async with asyncio.TaskGroup() as group:
        for name, loop in loops.items():
            group.create_task(aio.run_forever(loop, name), name=name)


async def learn_host(settings: config.Settings, store: Store, engine: Engine, clock: Clock) -> str:
    """The host's name: the configured one, the one used last, or the engine's, waited for."""
    host = settings.agent.host or store.host
    wait = 0.5
    while not host:
        try:
            host = payloads.slug((await engine.connect()).name)
        except EngineError as error:
            log.warning("no engine yet, and no agent.host is set; waiting", action="start", error=str(error))
            await clock.sleep(wait)
            wait = min(HOST_RETRY_MAX, wait * 2)
        finally:
            await engine.close()
    if host != store.host:
        await store.name_host(host)
    return host


async def _publish(settings: config.Settings, host: str, components: Components, clock: Clock) -> None:
    from agent.adapters.mqtt import broker
    from agent.reporting import publisher

    agent_id = components.store.agent_id
    await publisher.Publisher(
        connect=broker.connector(broker.all_options(settings.mqtt, broker.agent_client_id(host, agent_id))),
        topics=payloads.Topics(settings.mqtt.prefix, host),
        host_report=components.host_report,
        outbox=components.store,
        clock=clock,
        agent_id=agent_id,
        settings=publisher.Settings(
            collector=settings.mqtt.collector,
            confirm=settings.mqtt.confirm,
            inventory_every=settings.mqtt.inventory_every.total_seconds(),
        ),
        former_alerts=(*publisher.ALERTS, *ALERTS),
    ).run()


async def _show_info(settings: config.Settings, components: Components, clock: Clock) -> None:
    """Publish who we are, and again whenever the engine is another."""
    started, shown = clock.now(), None
    while True:
        await components.watcher.ready.wait()
        engine = components.ingestor.view.engine
        if engine is not None and engine != shown:
            shown = engine
            components.host_report.show_info(
                payloads.Info(
                    host=components.store.host,
                    version=__version__,
                    engine=_engine_facts(engine),
                    agent_id=components.store.agent_id,
                    epoch=components.store.epoch,
                    mode="observe" if engine.observe_only else settings.agent.mode,
                    policy=policy_in_force(settings),
                    started=started,
                    at=clock.now(),
                )
            )
        await clock.sleep(INFO_POLL)


def _engine_facts(engine: EngineInfo) -> dict[str, str]:
    names = ("id", "name", "version", "api_version", "driver", "root")
    return {name: str(getattr(engine, name)) for name in names}


def policy_in_force(settings: config.Settings) -> dict[str, object]:
    """The settings that decide, as they stand in a configuration file. Never a secret."""
    return {
        "images": settings.images.model_dump(mode="json"),
        "policy": settings.policy.model_dump(mode="json"),
        "pressure": settings.pressure.model_dump(mode="json"),
        "schedule": settings.schedule.model_dump(mode="json"),
        "cleanup": settings.cleanup.model_dump(mode="json"),
        "limits": settings.limits.model_dump(mode="json"),
        "usage": settings.usage.model_dump(mode="json"),
    }


async def _forget(settings: config.Settings, components: Components, clock: Clock) -> None:
    """Once a day, drop history older than the retention. What still waits then is named, where a broker is set.

    Not on a day on which the clock jumped, as far as that is known: after a jump of years nothing would be left.
    """
    while True:
        await components.watcher.ready.wait()  # by then the clocks were held against those of the last watch
        now = clock.now()
        if components.ingestor.view.clock_trusted:
            with contextlib.suppress(database.StateFull):
                await components.store.prune(now - settings.history.retention, now, quietly=not settings.mqtt.url)
        await clock.sleep(ONE_DAY)


async def _keep_reserve(folder: Path, clock: Clock) -> None:
    """Make the reserve again, once what released it is over."""
    while True:
        await asyncio.to_thread(database.keep_reserve, folder)
        await clock.sleep(RESERVE_INTERVAL)


@contextmanager
def _stopping_on_signals() -> Iterator[None]:
    """Cancel the current task on SIGTERM and SIGINT, until it has ended. SIGHUP changes nothing."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101 - run inside asyncio.run
    again: list[asyncio.TimerHandle] = []

    def stop() -> None:
        # Before Python 3.13 a TaskGroup forgets a cancel that comes while one of its tasks fails: ask again.
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
    """From the first moment of the process to its last: a terminal that closes must not end an agent."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _ignore_hangup() -> None:
    log.warning("SIGHUP was ignored: restart the agent to read its configuration again", action="signal")


@asynccontextmanager
async def engine_session(
    settings: config.Settings, store: Store, folder: Path, patience: float = COMMAND_PROBE_TIMEOUT
) -> AsyncIterator[Components]:
    """One proven look at the engine, for a command that ends: the same parts as the agent's, no publisher.

    Raises EngineError where the engine cannot be watched.
    """
    clock = SystemClock()
    components = build(settings, store, folder, clock, DockerEngine(settings.docker.url), patience)
    session = asyncio.create_task(components.watcher.session(), name="watcher")
    ready = asyncio.create_task(components.watcher.ready.wait(), name="ready")
    try:
        await asyncio.wait({session, ready}, return_when=asyncio.FIRST_COMPLETED)
        if session.done():
            session.result()
        if not store.host or settings.agent.host:
            await store.name_host(settings.agent.host or payloads.slug(_engine_name(components)))
        yield components
    finally:
        for task in (session, ready):
            task.cancel()
        await asyncio.gather(session, ready, return_exceptions=True)


@asynccontextmanager
async def read_only_session(
    settings: config.Settings, patience: float = COMMAND_PROBE_TIMEOUT
) -> AsyncIterator[tuple[Components, tuple[str, ...]]]:
    """As `watching`, on a copy of the agent's state, so that nothing is changed; and what to tell about that state.

    Raises StateError and EngineError.
    """
    place = state_dir.place_to_look_at(settings.agent.state_dir)
    look = state_dir.open_read_only(place.folder)
    try:
        async with engine_session(settings, look.store, place.folder, patience) as components:
            yield components, (*place.notes, *look.notes)
    finally:
        await look.store.close()


def _engine_name(components: Components) -> str:
    engine = components.ingestor.view.engine
    return engine.name if engine is not None else ""
