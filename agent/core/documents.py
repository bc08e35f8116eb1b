"""The JSON documents of the command line. Fixed: programs read them; more fields may stand beside."""

from collections.abc import Iterable, Mapping
from typing import Any

from agent.core import inventory, report, units
from agent.core.model import Action, Decision, Outcome, Plan


def plan(
    seen: Plan,
    host: str,
    notes: Iterable[str],
    outcomes: Mapping[str, Outcome] | None = None,
    errors: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """`plan --json`, `images --json`, and with outcomes `sweep --json`."""
    images = [_image(item, outcomes, errors) for item in sorted(seen.decisions, key=inventory.rank)]
    return {
        "at": units.format_time(seen.at),
        "host": host,
        "images": images,
        "totals": totals(seen),
        "notes": list(notes),
    }


def totals(seen: Plan) -> dict[str, Any]:
    """Numbers of images, and what all evictions together would free."""
    evicting = [item for item in seen.decisions if item.action is Action.EVICT]
    return {
        "images": len(seen.decisions),
        "keep": len(seen.decisions) - len(evicting),
        "evict": len(evicting),
        "held": sum(item.held_by is not None for item in evicting),
        "estimated_bytes": seen.estimated_bytes,
        "reasons": report.totals(seen),
    }


def _image(item: Decision, outcomes: Mapping[str, Outcome] | None, errors: Mapping[str, str] | None) -> dict[str, Any]:
    document = report.inventory_image(item).model_dump(mode="json", by_alias=True)
    document["due"] = units.format_time(item.due) if item.due else None
    document["evidence"] = [evidence.text for evidence in item.verdict.evidence]
    document["warnings"] = list(item.warnings)
    if outcomes is not None:
        document["outcome"] = outcomes.get(item.image.id)
        document["error"] = (errors or {}).get(item.image.id)
    return document
