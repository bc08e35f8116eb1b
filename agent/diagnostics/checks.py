"""`torchkeeper check`: all checks, in the order in which a person would fix things."""

import os
from datetime import UTC, datetime
from pathlib import Path

from agent.adapters.engine import EngineInfo
from agent.adapters.sqlite import state_dir
from agent.adapters.state_errors import StateError
from agent.config import loading
from agent.config.settings import ConfigError, Settings
from agent.core.protocol.topics import slug
from agent.diagnostics import alerts, configuration, engine, images, state
from agent.diagnostics.check import Check


async def run(config_file: Path | None) -> list[Check]:
    """Run them all. Nothing else is checked if the configuration cannot be read."""
    try:
        settings = loading.load(config_file)
    except ConfigError as error:
        return [Check("configuration", False, str(error), "correct this first; the other checks were skipped")]
    engine_check, info = await engine.check_connection(settings)
    state_check = state.check_folder(settings.agent.state_dir)
    seen = await images.inspect(settings) if info is not None and state_check.ok else None
    return [
        configuration.check_patterns(settings, loading.find_file(config_file, os.environ)),
        *configuration.check_cleanup(settings),
        state_check,
        *state.check_pins(settings.agent.state_dir, seen.plan if seen is not None else None),
        *(alerts.check_alerts(settings.agent.state_dir) if state_check.ok else []),
        engine_check,
        engine.check_disk(settings, info, seen.plan if seen is not None else None),
        *engine.check_layers(settings, info),
        *images.check_stopped(seen),
        *images.check_doubtful(seen),
        *await _broker(settings, info),
    ]


async def _broker(settings: Settings, info: EngineInfo | None) -> list[Check]:
    """A check for each address of the broker."""
    if not settings.mqtt.url:
        return [Check("broker", True, "none set (mqtt.url is empty): decisions stay in the local history")]
    from agent.diagnostics import broker_check

    host = settings.agent.host or _known_host(settings.agent.state_dir)
    host = host or (slug(info.name) if info is not None else "check")
    connections = [Check("broker", *found) for found in await broker_check.run(settings.mqtt, host)]
    files = broker_check.check_files(settings.mqtt, datetime.now(UTC))
    return [*connections, *(Check(name, *found) for name, found in files)]


def _known_host(folder: Path) -> str:
    """The name under which an agent reported from this state; "" where none did."""
    try:
        return state_dir.open_read_only(folder).store.host
    except StateError:
        return ""
