"""`check`: what works, what does not, and what to do, in plain words."""

import asyncio
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent import config, state
from agent.adapters import database, disk, holds
from agent.adapters.docker import DockerEngine
from agent.adapters.engine import EngineError, EngineInfo, PermissionDenied
from agent.core import totals, units, wire
from agent.core.model import Container, Pin, Plan
from agent.core.rules import never_matches

PATIENCE = 10.0  # seconds for one check
STOPPED_NAMED = 5  # containers


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
    engine, info = await _engine(settings)
    kept = _state(settings.agent.state_dir)
    look = await _look(settings) if info is not None and kept.ok else None
    return [
        _configuration(settings, config.find_file(config_file, os.environ)),
        kept,
        _holds(settings.agent.state_dir, look),
        engine,
        _disk(settings, info),
        *_stopped(look),
        *await _broker(settings, info),
    ]


def _configuration(settings: config.Settings, source: Path | None) -> Check:
    detail = f"{source or 'built-in defaults'}; mode {settings.agent.mode}"
    useless = [f"{key}: {pattern!r}: {why}" for key, pattern in _patterns(settings) if (why := never_matches(pattern))]
    if not useless:
        return Check("configuration", True, detail)
    return Check("configuration", True, f"{detail}; {len(useless)} pattern(s) can never match", "; ".join(useless))


def _patterns(settings: config.Settings) -> Iterable[tuple[str, str]]:
    """Each pattern on references, with its key."""
    yield from (("images.include", pattern) for pattern in settings.images.include)
    yield from (("images.exclude", pattern) for pattern in settings.images.exclude)
    yield from (("policy.protect", pattern) for pattern in settings.policy.protect)
    yield from (("policy.rules.match", rule.match) for rule in settings.policy.rules)


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the engine told."""

    plan: Plan
    containers: tuple[Container, ...]


async def _look(settings: config.Settings) -> Look | None:
    """None where the engine cannot be watched; its own check says why."""
    from agent import daemon

    try:
        async with asyncio.timeout(PATIENCE), daemon.looking(settings) as (parts, _):
            plan = await parts.sweeper.plan()
            return Look(plan, parts.intake.sight.snapshot(plan.at).containers)
    except (EngineError, TimeoutError):
        return None


def _stopped(look: Look | None) -> list[Check]:
    """Stopped containers that keep images: nothing is wrong, and space could be had."""
    found = totals.stopped(look.plan, look.containers) if look is not None else []
    if not found:
        return []
    names = [name for item in found for name in item.names]
    held = units.format_bytes(sum(item.decision.estimated_bytes for item in found))
    oldest = ", ".join(names[:STOPPED_NAMED])
    detail = f"{len(names)} stopped keep {len(found)} PyTorch image(s), about {held}; the oldest: {oldest}"
    return [Check("containers", True, detail, f"those that nobody needs: docker rm {' '.join(names[:STOPPED_NAMED])}")]


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


def _holds(folder: Path, look: Look | None) -> Check:
    try:
        found = holds.load(folder)
    except holds.HoldsUnreadable as error:
        return Check("pins", False, str(error), f"mend or remove {folder / holds.FILE}")
    paused = "; eviction is paused" if found.paused else ""
    pins = [pin for pin in found.pins if not pin.over(datetime.now(UTC))]
    detail = f"{len(pins)} pinned{paused}"
    lost = [pin.reference or pin.id for pin in pins if look is not None and not _is_here(pin, look.plan)]
    if not lost:
        return Check("pins", True, detail)
    hint = f"pull it again, or: torchkeeper unpin {lost[0]}"
    return Check("pins", True, f"{detail}; no such image is here: {', '.join(lost)}", hint)


def _is_here(pin: Pin, plan: Plan) -> bool:
    return any(pin.means(item.image) for item in plan.decisions)


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


def _disk(settings: config.Settings, info: EngineInfo | None) -> Check:
    space = disk.space(info.root) if info is not None else None
    if info is None or space is None:
        detail = "the engine's directory cannot be seen from here; freed bytes stay an estimate"
        if settings.pressure.high is None or info is None:
            return Check("disk", True, detail)
        hint = f"mount {info.root} into the agent's container (read-only), or set pressure.budget"
        return Check("disk", False, f"{detail}, and pressure.high has no effect", hint)
    return Check("disk", True, f"{info.root}: {space.share:.0%} of {units.format_bytes(space.total_bytes)} used")


async def _broker(settings: config.Settings, info: EngineInfo | None) -> list[Check]:
    """A check for each address of the broker."""
    if not settings.mqtt.url:
        return [Check("broker", True, "none set (mqtt.url is empty): decisions stay in the local history")]
    from agent import broker_check

    host = settings.agent.host or _known_host(settings.agent.state_dir)
    host = host or (wire.slug(info.name) if info is not None else "check")
    return [Check("broker", *found) for found in await broker_check.run(settings.mqtt, host)]


def _known_host(folder: Path) -> str:
    """The name under which an agent reported from this state; "" where none did."""
    try:
        return state.look(folder).store.host
    except database.StateError:
        return ""
