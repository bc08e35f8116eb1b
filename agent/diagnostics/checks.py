"""`check`: what works, what does not, and what to do, in plain words."""

import asyncio
import os
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agent.adapters import disk, folder, overrides
from agent.adapters.docker.engine import DockerEngine
from agent.adapters.engine import EngineError, EngineInfo, PermissionDenied
from agent.adapters.layers import folders as layer_folders
from agent.adapters.sqlite import database, state_dir
from agent.config import settings as config
from agent.core import text, units
from agent.core.images import layers
from agent.core.lint import linter
from agent.core.model import Container
from agent.core.policy import totals
from agent.core.policy.decision import Plan
from agent.core.policy.overrides import Pin
from agent.core.protocol.topics import slug
from agent.core.pytorch import deciding
from agent.daemon import no_effect

PATIENCE = 10.0  # seconds for one check
LAYERS = 2.0  # seconds of it for layers to be read
STOPPED_NAMED = 5  # containers
LONGEST_BUILD = timedelta(hours=1)  # builds take less, mostly


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
        return [Check("configuration", False, str(error), "correct this first; the other checks were skipped")]
    engine, info = await _engine(settings)
    kept = _state(settings.agent.state_dir)
    look = await _look(settings) if info is not None and kept.ok else None
    return [
        _configuration(settings, config.find_file(config_file, os.environ)),
        *_cleanup(settings),
        kept,
        *_holds(settings.agent.state_dir, look),
        engine,
        _disk(settings, info),
        *_layers(settings, info),
        *_stopped(look),
        *_doubtful(look),
        *await _broker(settings, info),
    ]


def _configuration(settings: config.Settings, source: Path | None) -> Check:
    detail = f"{source or 'built-in defaults'}; mode {settings.agent.mode}"
    useless = no_effect.patterns(settings)
    if not useless:
        return Check("configuration", True, detail)
    return Check("configuration", False, f"{detail}; {len(useless)} pattern(s) can never match", "; ".join(useless))


def _cleanup(settings: config.Settings) -> list[Check]:
    """A build leaves its first stages without a name until its end: they must not go before."""
    after = settings.cleanup.dangling_after
    if after is None or after >= LONGEST_BUILD:
        return []
    detail = (
        f"cleanup.dangling_after is {units.duration_text(after)}: a build that takes longer may lose its first stages"
    )
    hint = f"set it to more than the longest build takes, at least {units.duration_text(LONGEST_BUILD)}"
    return [Check("cleanup", True, detail, hint)]


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a look at the engine told."""

    plan: Plan
    containers: tuple[Container, ...]


async def _look(settings: config.Settings) -> Inspection | None:
    """None where the engine cannot be watched; its own check says why."""
    from agent.daemon import run as daemon

    try:
        async with asyncio.timeout(PATIENCE), daemon.read_only_session(settings, LAYERS) as (components, _):
            plan = await components.sweeper.plan()
            return Inspection(plan, components.ingestor.view.snapshot(plan.at).containers)
    except (EngineError, TimeoutError):
        return None


def _stopped(look: Inspection | None) -> list[Check]:
    """Stopped containers that keep images: nothing is wrong, and space could be had."""
    found = totals.stopped(look.plan, look.containers) if look is not None else []
    if not found:
        return []
    names = [name for item in found for name in item.names]
    held = units.format_bytes(sum(item.decision.estimated_bytes for item in found))
    about = layers.about(item.decision.image for item in found)
    oldest = ", ".join(names[:STOPPED_NAMED])
    detail = f"{len(names)} stopped keep {len(found)} PyTorch image(s), {about} {held}; the oldest: {oldest}"
    return [Check("containers", True, detail, f"those that nobody needs: docker rm {' '.join(names[:STOPPED_NAMED])}")]


def _doubtful(look: Inspection | None) -> list[Check]:
    """Images that one sign alone calls PyTorch: nothing is wrong, and a person may know better."""
    images = [item.image for item in look.plan.decisions if deciding.single(item.verdict)] if look is not None else []
    if not images:
        return []
    first = text.listed(image.standalone[0] if image.standalone else image.id[7:19] for image in images)
    return [
        Check(
            "recognition",
            True,
            f"{len(images)} image(s) count as PyTorch by one sign alone: {first}",
            f"torchkeeper lint names the sign; {linter.WAY_OUT}",
        )
    ]


def _state(configured: Path) -> Check:
    try:
        place, running = state_dir.place_to_look_at(configured), state_dir.agents_on(configured)
    except database.StateError as error:
        return Check("state", False, str(error), "make the folder usable, or set agent.state_dir to another one")
    where = [f"{place.folder}: an agent runs on it"] if running else []
    try:
        if folder.is_there(place.folder):
            folder.probe(place.folder)
        look = state_dir.open_read_only(place.folder)
    except database.StateTooNew as error:
        return Check("state", False, str(error), "a newer torchkeeper, or another agent.state_dir, can read it")
    except database.StateError as error:
        hint = "make the folder usable, or set agent.state_dir to another one"
        return Check("state", False, "; ".join([str(error), *where]), hint)
    detail = "; ".join([*(where or [f"{place.folder}: no agent runs on it now"]), *place.notes, *look.notes])
    if any("damaged" in note for note in look.notes):
        return Check("state", False, detail, "start the agent; it moves the file aside and begins anew")
    if running and place.folder != state_dir.resolve(configured).folder:
        return Check("state", False, detail, f"restart that agent, or set agent.state_dir to {place.folder}")
    return Check("state", True, detail)


def _holds(configured: Path, look: Inspection | None) -> list[Check]:
    """Nothing where the folder itself cannot be looked into: its own check says so."""
    now = datetime.now(UTC)
    try:
        place = state_dir.place_to_look_at(configured)
        found = overrides.load(place.folder)
    except database.StateError:
        return []
    except overrides.HoldsUnreadable as error:
        return [Check("pins", False, f"{error.detail}; {error.effect}", error.hint)]
    elsewhere = no_effect.pins_elsewhere(configured, place.folder, now)
    if elsewhere:
        return [Check("pins", False, elsewhere, "torchkeeper pin, or torchkeeper pause, acts where the agent reads")]
    pins = [pin for pin in found.pins if not pin.over(now)]
    detail = f"{len(pins)} pinned" + ("; eviction is paused" if found.paused else "")
    if look is None:
        return [Check("pins", True, detail)]
    vague = [f"; the ID {pin.id} begins {count} images, and keeps them all" for pin, count in _vague(pins, look.plan)]
    lost = [pin.reference or pin.id for pin in pins if not _is_here(pin, look.plan)]
    if not lost:
        return [Check("pins", True, "".join([detail, *vague]))]
    hint = f"pull it again, or: torchkeeper unpin {lost[0]}"
    return [Check("pins", True, "".join([detail, *vague, f"; no such image is here: {', '.join(lost)}"]), hint)]


def _vague(pins: list[Pin], plan: Plan) -> list[tuple[Pin, int]]:
    """The pins by the start of an ID that several images have, with their number."""
    counts = ((pin, sum(bool(pin.id) and item.image.id.startswith(pin.id) for item in plan.decisions)) for pin in pins)
    return [(pin, count) for pin, count in counts if count > 1]


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
    what = f"{info.product} {info.version}, API {info.api_version}, {info.driver}, {images} images"
    return _observing(Check("engine", True, f"{engine.url}: {what}"), settings, info), info


def _observing(found: Check, settings: config.Settings, info: EngineInfo) -> Check:
    """The check of an engine, which fails where observe mode is forced on a configuration that asks for more."""
    if not info.observe_only:
        return found
    detail = f"{found.detail}; observe mode: {info.observe_only}"
    asked = settings.agent.mode != "observe"
    hint = 'nothing is removed here; set agent.mode = "observe", or docker.url to a Docker Engine' if asked else ""
    return replace(found, ok=not asked, detail=detail, hint=hint)


def _disk(settings: config.Settings, info: EngineInfo | None) -> Check:
    space = disk.space(info.root) if info is not None else None
    if info is None or space is None:
        detail = "the engine's directory cannot be seen from here; freed bytes stay an estimate"
        if settings.pressure.high is None or info is None:
            return Check("disk", True, detail)
        hint = f"mount {info.root} into the agent's container (read-only), or set pressure.budget"
        return Check("disk", False, f"{detail}, and pressure.high has no effect", hint)
    return Check(
        "disk", True, f"{info.root}: {space.used_fraction:.0%} of {units.format_bytes(space.total_bytes)} used"
    )


def _layers(settings: config.Settings, info: EngineInfo | None) -> list[Check]:
    """Whether torch itself is looked for. Where it is not, names and history decide alone, which is nothing wrong."""
    if info is None:
        return []
    if not settings.images.probe_layers:
        return [Check("layers", True, "not read (images.probe_layers is false): names and history decide alone")]
    why = layer_folders.why_not(info)
    if why:
        return [Check("layers", True, f"not read: {why}")]
    return [Check("layers", True, f"read below {layer_folders.place(info)}")]


async def _broker(settings: config.Settings, info: EngineInfo | None) -> list[Check]:
    """A check for each address of the broker."""
    if not settings.mqtt.url:
        return [Check("broker", True, "none set (mqtt.url is empty): decisions stay in the local history")]
    from agent.diagnostics import broker_check

    host = settings.agent.host or _known_host(settings.agent.state_dir)
    host = host or (slug(info.name) if info is not None else "check")
    return [Check("broker", *found) for found in await broker_check.run(settings.mqtt, host)]


def _known_host(folder: Path) -> str:
    """The name under which an agent reported from this state; "" where none did."""
    try:
        return state_dir.open_read_only(folder).store.host
    except database.StateError:
        return ""
