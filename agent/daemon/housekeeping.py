"""The small loops beside watching, sweeping and publishing: each runs for as long as the agent does."""

import asyncio
import contextlib
from pathlib import Path

from agent import __version__
from agent.adapters import reserve
from agent.adapters.clock import Clock
from agent.adapters.engine import EngineInfo
from agent.adapters.inside import Inside
from agent.adapters.state_errors import StateFull
from agent.core.protocol import payloads
from agent.daemon import look_inside
from agent.daemon.build import Components
from agent.daemon.in_force import SettingsInForce, mode_in_force, policy_in_force

RESERVE_INTERVAL = 600.0  # seconds between looks at the reserve
TIDY_INTERVAL = 600.0  # seconds between searches for what a killed look inside an image left
ONE_DAY = 86400.0  # seconds


async def report_info(in_force: SettingsInForce, components: Components, clock: Clock) -> None:
    """Report who this agent is and which engine it watches: once each connection to the engine is proven."""
    started, view = clock.now(), components.ingestor.view
    while True:
        await view.connected.wait()
        await components.watcher.ready.wait()
        view.connected.clear()
        settings = in_force.settings
        if view.engine is not None:
            components.host_report.show_info(
                payloads.Info(
                    host=components.store.host,
                    version=__version__,
                    engine=_engine_facts(view.engine),
                    agent_id=components.store.agent_id,
                    epoch=components.store.epoch,
                    mode=mode_in_force(settings, view.engine),
                    policy=policy_in_force(settings),
                    started=started,
                    at=clock.now(),
                )
            )


def _engine_facts(engine: EngineInfo) -> dict[str, str]:
    names = ("id", "name", "version", "api_version", "driver", "root")
    return {name: str(getattr(engine, name)) for name in names}


async def prune_history(in_force: SettingsInForce, components: Components, clock: Clock) -> None:
    """Once a day, delete history older than the retention.

    Rows that still wait for the broker then are listed in a `dropped` event, if a broker is set. Nothing is deleted
    on a day on which the clock is known to have jumped: after a jump of years nothing would be left.
    """
    while True:
        await components.watcher.ready.wait()  # by then the clocks were compared with those of the last watch
        now, settings = clock.now(), in_force.settings
        if components.ingestor.view.clock_trusted:
            with contextlib.suppress(StateFull), components.pulse.busy("deletion of old history"):
                await components.store.prune(
                    now - settings.history.retention, now, declare_dropped=bool(settings.mqtt.url)
                )
        await clock.sleep(ONE_DAY)


async def keep_reserve(folder: Path, clock: Clock) -> None:
    """Make the reserve file again, once the full disk that it was released for has room."""
    while True:
        await asyncio.to_thread(reserve.keep, folder)
        await clock.sleep(RESERVE_INTERVAL)


async def remove_left_containers(engine: Inside, folder: Path, ready: asyncio.Event, clock: Clock) -> None:
    """Remove the containers that killed looks inside images left, while the engine is watched.

    Not before the containers were listed: the end of a container that is not known counts as a use.
    """
    while True:
        await ready.wait()
        await look_inside.tidy(engine, folder)
        await clock.sleep(TIDY_INTERVAL)
