"""The JSON documents of the command line. Programs read them: fields may be added, and none may change."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from agent.cli import advice
from agent.core import units
from agent.core.lint.linter import Finding
from agent.core.policy import newest
from agent.core.policy.decision import Action, Decision, Outcome, Plan, Step
from agent.core.policy.totals import StoppedOnly, by_reason, next_to_go
from agent.core.protocol import inventory, new_events
from agent.core.pytorch import deciding
from agent.core.pytorch.version_file import LookedInside
from agent.core.usage.tracker import IgnoredRuns, Use

if TYPE_CHECKING:
    from agent.cli.explanation import Facts

NEXT = 10  # next evictions


def plan(
    seen: Plan,
    host: str,
    notes: Iterable[str],
    outcomes: Mapping[str, Outcome] | None = None,
    errors: Mapping[str, str] | None = None,
    stopped: Iterable[StoppedOnly] = (),
    shown: Iterable[Decision] | None = None,
) -> dict[str, Any]:
    """`plan --json`, `images --json`, and with outcomes `sweep --json`. `shown`: the images to list; None: all."""
    listed = sorted(seen.decisions, key=inventory.rank) if shown is None else shown
    images = [_image(item, outcomes, errors) for item in listed]
    return {
        "at": units.format_time(seen.at),
        "host": host,
        "images": images,
        "totals": totals(seen),
        "next": [_next(item) for item in next_to_go(seen, NEXT)],
        "stopped": [_stopped(item) for item in stopped],
        "notes": list(notes),
    }


def _next(item: Decision) -> dict[str, Any]:
    return {
        "id": item.image.id,
        "references": list(item.image.standalone),
        "due": units.format_time(item.due) if item.due else None,
        "estimated_bytes": item.estimated_bytes,
    }


def _stopped(item: StoppedOnly) -> dict[str, Any]:
    """The stopped containers that keep an image, and the command that would free it."""
    return {
        "containers": list(item.names),
        "since": units.format_time(item.since) if item.since else None,
        "image": item.decision.image.id,
        "references": list(item.decision.image.standalone),
        "estimated_bytes": item.decision.estimated_bytes,
        "command": f"docker rm {' '.join(item.names)}",
    }


def explain(
    item: Decision,
    uses: Iterable[Use],
    ignored: Iterable[IgnoredRuns],
    at: datetime,
    host: str,
    notes: Iterable[str],
) -> dict[str, Any]:
    """`explain --json`: one element of `plan --json`, with the uses and the steps of the decision."""
    return {
        **_image(item, None, None),
        "uses": [{"at": units.format_time(use.at), "action": use.action, "by": use.by} for use in uses],
        "ignored_runs": [
            {
                "pattern": counted.pattern,
                "runs": counted.runs,
                "first_at": units.format_time(counted.first_at),
                "last_at": units.format_time(counted.last_at),
            }
            for counted in ignored
        ],
        "steps": [{"reason": step.reason, "answer": step.answer or "no"} for step in _steps(item)],
        "without_version": list(newest.unread(item.image)),
        "at": units.format_time(at),
        "host": host,
        "notes": list(notes),
    }


def ways(facts: "Facts") -> dict[str, list[str]]:
    """The advice of `explain`, line by line: how the image is kept, and how it is removed."""
    return {
        "to_keep": [line.text for line in advice.to_keep(facts.decision)],
        "to_remove": [line.text for line in advice.to_remove(facts.decision, facts.containers, facts.pin)],
    }


def inside(seen: LookedInside | None) -> dict[str, Any] | None:
    """What `explain --look-inside` found; None without that option. That nothing was found proves nothing."""
    if seen is None:
        return None
    found = [
        {"path": path, "torch_version": torch.version, "accelerator": torch.accelerator}
        for path, torch in seen.found.items()
    ]
    return {"tried": seen.tried, "found": found}


def _steps(item: Decision) -> Iterable[Step]:
    """The steps about the image alone, then what overruled them: disk pressure, its children, a new policy."""
    decided = Step(item.reason, item.explanation)
    return item.steps if decided in item.steps else (*item.steps, decided)


def lint(findings: Iterable[Finding], seen: Plan, host: str, notes: Iterable[str]) -> dict[str, Any]:
    """`lint --json`."""
    references = {item.image.id: list(item.image.references) for item in seen.decisions}
    return {
        "at": units.format_time(seen.at),
        "host": host,
        "findings": [
            {
                "image": item.reference,
                "rule": item.rule,
                "explanation": item.explanation,
                "id": item.image_id,
                "references": references[item.image_id],
            }
            for item in findings
        ],
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
        "reasons": new_events.totals(seen),
        "bytes": {reason.value: share.bytes for reason, share in by_reason(seen).items()},
        "held_by": seen.held_by,
        "opens": units.format_time(seen.opens) if seen.opens else None,
        "pressure": seen.pressure or None,
        "short_bytes": seen.shortfall_bytes,
        "waiting_for_grace": len(seen.deferred),
    }


def _image(item: Decision, outcomes: Mapping[str, Outcome] | None, errors: Mapping[str, str] | None) -> dict[str, Any]:
    document = new_events.inventory_image(item).model_dump(mode="json", by_alias=True)
    document["due"] = units.format_time(item.due) if item.due else None
    document["evidence"] = [evidence.text for evidence in item.verdict.evidence]
    document["decided_by"] = deciding.phrase(item.verdict) or None
    if outcomes is not None:
        document["outcome"] = outcomes.get(item.image.id)
        document["error"] = (errors or {}).get(item.image.id)
    return document
