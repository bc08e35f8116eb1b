"""`check`: what works, what does not, and what to do, in plain words."""

import asyncio
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agent import config, state
from agent.adapters import database, disk, holds
from agent.adapters.docker import DockerEngine
from agent.adapters.engine import EngineError, EngineInfo, PermissionDenied
from agent.core import units, wire

PATIENCE = 10.0  # seconds for one check


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `hint` says what to do, and is empty where all is well."""

    name: str
    ok: bool
    detail: str
    hint: str = ""

    def document(self) -> dict[str, Any]:
        return asdict(self)


async def run(config_file: Path | None) -> list[Check]:
    """All checks, in the order in which a person would mend things."""
    try:
        settings = config.load(config_file)
    except config.ConfigError as error:
        return [Check("configuration", False, str(error), "mend the key named here; the others wait for it")]
    source = config.find_file(config_file, os.environ)
    engine, info = await _engine(settings)
    return [
        Check("configuration", True, f"{source or 'built-in defaults'}; mode {settings.agent.mode}"),
        _state(settings.agent.state_dir),
        _holds(settings.agent.state_dir),
        engine,
        _disk(info),
        await _broker(settings, info),
    ]


def _state(folder: Path) -> Check:
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        database.probe_folder(existing)
    except database.StateError as error:
        return Check("state", False, str(error), f"make {folder} writable for this user, or set agent.state_dir")
    try:
        look = state.look(folder)
    except database.StateError as error:
        return Check("state", False, str(error), "a newer torchkeeper, or another agent.state_dir, can read it")
    running = "an agent runs on it" if state.busy(folder) else "no agent runs on it now"
    damaged = [note for note in look.notes if "damaged" in note]
    if damaged:
        return Check("state", False, damaged[0], "start the agent; it moves the file aside and begins anew")
    return Check("state", True, "; ".join([f"{folder}: {running}", *look.notes]))


def _holds(folder: Path) -> Check:
    try:
        found = holds.load(folder)
    except holds.HoldsUnreadable as error:
        return Check("pins", False, str(error), f"mend or remove {folder / holds.FILE}")
    paused = "; eviction is paused" if found.paused else ""
    return Check("pins", True, f"{len(found.pins)} pinned{paused}")


async def _engine(settings: config.Settings) -> tuple[Check, EngineInfo | None]:
    engine = DockerEngine(settings.docker.url)
    try:
        async with asyncio.timeout(PATIENCE):
            info = await engine.connect()
            images = await engine.count_images()
    except PermissionDenied as error:
        hint = "run as root, or add this user to the group that owns the socket (mostly `docker`)"
        return Check("engine", False, str(error), hint), None
    except (EngineError, TimeoutError) as error:
        hint = "start the Docker Engine, or set docker.url (or DOCKER_HOST) to its socket"
        return Check("engine", False, str(error) or f"{engine.url}: no answer in time", hint), None
    finally:
        await engine.close()
    detail = f"{engine.url}: Docker {info.version}, API {info.api_version}, {info.driver}, {images} images"
    return Check("engine", True, detail), info


def _disk(info: EngineInfo | None) -> Check:
    space = disk.space(info.root) if info is not None else None
    if info is None or space is None:
        return Check("disk", True, "the engine's directory cannot be seen from here; freed bytes stay an estimate")
    return Check("disk", True, f"{info.root}: {space.share:.0%} of {units.format_bytes(space.total_bytes)} used")


async def _broker(settings: config.Settings, info: EngineInfo | None) -> Check:
    if not settings.mqtt.url:
        return Check("broker", True, "none set (mqtt.url is empty): decisions stay in the local history")
    from agent.adapters import broker

    host = settings.agent.host or (wire.slug(info.name) if info is not None else "check")
    try:
        async with asyncio.timeout(PATIENCE):
            await _publish_nothing(settings, host)
    except broker.LoginRefused as error:
        return Check("broker", False, str(error), "mend mqtt.username and mqtt.password_file, or the broker's users")
    except broker.PublishRefused as error:
        hint = f"let the user write to {settings.mqtt.prefix}/v1/hosts/{host}/#; see config/ for an ACL"
        return Check("broker", False, f"{settings.mqtt.url}: {error}", hint)
    except (broker.BrokerUnavailable, config.ConfigError, TimeoutError) as error:
        detail = str(error) or f"{settings.mqtt.url}: no answer in time"
        return Check("broker", False, detail, "start the broker, or mend mqtt.url and the TLS files")
    return Check("broker", True, f"{settings.mqtt.url}: connected, MQTT {settings.mqtt.version}, may publish")


async def _publish_nothing(settings: config.Settings, host: str) -> None:
    """An empty retained alert changes nothing, and needs the same right as every other publish."""
    from agent.adapters import broker

    options = broker.options(settings.mqtt, client_id=f"torchkeeper-{host}-check")
    topic = wire.Topics(settings.mqtt.prefix, host).alert("check")
    async with broker.connect(options, None) as connection:
        await connection.publish(topic, b"", retain=True)
