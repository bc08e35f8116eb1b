"""Checks of the images: nothing is wrong with them, but a person may know better."""

import asyncio
from dataclasses import dataclass

from agent.adapters.engine import EngineError
from agent.config.settings import Settings
from agent.core import text, units
from agent.core.images import layers
from agent.core.lint import linter
from agent.core.model import Container
from agent.core.policy import totals
from agent.core.policy.decision import Plan
from agent.core.pytorch import deciding
from agent.diagnostics.check import TIMEOUT, Check

PROBE_TIMEOUT = 2.0  # seconds of TIMEOUT for layers to be read
STOPPED_NAMED = 5  # containers


@dataclass(frozen=True, slots=True)
class Inspection:
    """The decisions on all images, and the containers, at one moment."""

    plan: Plan
    containers: tuple[Container, ...]


async def inspect(settings: Settings) -> Inspection | None:
    """Connect and decide. None if the engine cannot be watched: its own check says why."""
    from agent.daemon import session

    try:
        async with asyncio.timeout(TIMEOUT), session.read_only_session(settings, PROBE_TIMEOUT) as (components, _):
            plan = await components.planner.plan()
            return Inspection(plan, components.ingestor.view.snapshot(plan.at).containers)
    except (EngineError, TimeoutError):
        return None


def check_stopped(seen: Inspection | None) -> list[Check]:
    """Stopped containers that keep images, although space could be freed."""
    found = totals.stopped(seen.plan, seen.containers) if seen is not None else []
    if not found:
        return []
    names = [name for item in found for name in item.names]
    held = units.format_bytes(sum(item.decision.estimated_bytes for item in found))
    about = layers.about(item.decision.image for item in found)
    oldest = ", ".join(names[:STOPPED_NAMED])
    detail = f"{len(names)} stopped containers hold {len(found)} PyTorch image(s), {about} {held}; the oldest: {oldest}"
    return [Check("containers", True, detail, f"those that nobody needs: docker rm {' '.join(names[:STOPPED_NAMED])}")]


def check_doubtful(seen: Inspection | None) -> list[Check]:
    """Images that count as PyTorch by a single sign."""
    images = [item.image for item in seen.plan.decisions if deciding.single(item.verdict)] if seen is not None else []
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
