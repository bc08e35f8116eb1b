"""Checks of the engine, of its disk, and of whether its layers can be read."""

import asyncio
from dataclasses import replace

from agent.adapters import disk as file_system
from agent.adapters.docker import factory
from agent.adapters.engine import EngineError, EngineInfo, PermissionDenied
from agent.adapters.layers import folders as layer_folders
from agent.config.settings import Settings
from agent.core.policy.decision import Plan
from agent.diagnostics.check import TIMEOUT, Check
from agent.eviction import plan_reporter


async def check_connection(settings: Settings) -> tuple[Check, EngineInfo | None]:
    """Whether the engine answers, and which it is; None where it does not."""
    made = factory.make_engine(settings.docker)
    try:
        async with asyncio.timeout(TIMEOUT):
            info = await made.connect()
            images = await made.count_images()
    except PermissionDenied as error:
        hint = "run as root, or add this user to the group that owns the socket (mostly `docker`)"
        return Check("engine", False, str(error), hint), None
    except (EngineError, TimeoutError) as error:
        hint = "start the Docker Engine, or set docker.url (or DOCKER_HOST) to its socket"
        return Check("engine", False, str(error) or f"{made.url}: no answer in time", hint), None
    finally:
        await made.close()
    what = f"{info.product} {info.version}, API {info.api_version}, {info.driver}, {images} images"
    return _observing(Check("engine", True, f"{made.url}: {what}"), settings, info), info


def _observing(found: Check, settings: Settings, info: EngineInfo) -> Check:
    """Fail the check where observe mode is forced although the configuration asks for more."""
    if not info.observe_only:
        return found
    detail = f"{found.detail}; observe mode: {info.observe_only}"
    asked = settings.agent.mode != "observe"
    hint = 'nothing is removed here; set agent.mode = "observe", or docker.url to a Docker Engine' if asked else ""
    return replace(found, ok=not asked, detail=detail, hint=hint)


def check_disk(settings: Settings, info: EngineInfo | None, plan: Plan | None = None) -> Check:
    """Whether the engine's file system can be seen from here, and whether it is full and nothing may be evicted.

    Disk pressure and measured bytes need to see it. `plan`: of all images; None if the engine cannot be watched.
    """
    space = file_system.space(info.root) if info is not None else None
    if info is None or space is None:
        detail = "the engine's directory cannot be seen from here; freed bytes stay an estimate"
        if settings.pressure.high is None or info is None:
            return Check("disk", True, detail)
        hint = f"mount {info.root} into the agent's container (read-only), or set pressure.budget"
        return Check("disk", False, f"{detail}, and pressure.high has no effect", hint)
    full = plan_reporter.disk_full(plan) if plan is not None else ""
    detail = f"{info.root}: {space.describe()}"
    if full:
        return Check("disk", False, f"{detail}; {full}", "torchkeeper plan shows what keeps each image, and why")
    return Check("disk", True, detail)


def check_layers(settings: Settings, info: EngineInfo | None) -> list[Check]:
    """Whether torch itself is searched for in layers. If not, names and history decide alone, which is not a fault."""
    if info is None:
        return []
    if not settings.images.probe_layers:
        return [Check("layers", True, "not read (images.probe_layers is false): names and history decide alone")]
    why = layer_folders.why_not(info)
    if why:
        return [Check("layers", True, f"not read: {why}")]
    return [Check("layers", True, f"read below {layer_folders.place(info)}")]
