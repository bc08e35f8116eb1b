"""One image explained: what it is, who used it, what decides about it and when, what that frees, how to keep it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from agent.core import text, units
from agent.core.images import layers
from agent.core.model import Class, Container
from agent.core.policy import newest, rules
from agent.core.policy.decision import Action, Decision, Reason
from agent.core.policy.settings import Policy
from agent.core.pytorch import deciding
from agent.core.pytorch.version_file import LookedInside
from agent.core.usage.tracker import IgnoredRuns, Use

USES_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known about one image."""

    at: datetime
    decision: Decision
    uses: Sequence[Use]  # the latest, newest first
    ignored: Sequence[IgnoredRuns]
    containers: Sequence[Container]
    inside: LookedInside | None = None  # what `--look-inside` found; None without that option


def render(facts: Facts, policy: Policy) -> RenderableType:
    """One line for each fact, with a heading, in the order in which people ask."""
    item = facts.decision
    lines = Table.grid(padding=(0, 2), expand=False)
    lines.add_column(no_wrap=True, style="bold")
    lines.add_column(overflow="fold")
    rows = [
        *_identity(item),
        *_inside(facts.inside),
        *_uses(facts),
        *_decision(item, policy),
        *_eviction(item, facts.at),
        *_way_to_keep(item),
    ]
    for head, body in rows:
        lines.add_row(head, Text(text.clean(body), overflow="fold"))
    return lines


def _identity(item: Decision) -> Iterable[tuple[str, str]]:
    verdict = item.verdict
    yield "image", " ".join(item.image.standalone) or "untagged"
    yield "id", item.image.id
    torch = f"torch {verdict.torch_version}" if verdict.torch_version else ""
    versions = ", ".join(filter(None, [torch, verdict.accelerator]))
    yield "class", verdict.kind + (f" ({versions})" if versions else "")
    if decided := deciding.phrase(verdict):
        yield "decided by", decided + (" alone" if deciding.single(verdict) else "")
    for evidence in verdict.evidence:
        yield "evidence", f"{evidence.text} ({evidence.strength} {evidence.kind})"
    yield "from", item.image.origin or "no registry source is known"


def _inside(seen: LookedInside | None) -> Iterable[tuple[str, str]]:
    if seen is None:
        return
    for path, torch in seen.found.items():
        yield "inside", f"{path} is of torch {torch.version}" + (f", {torch.accelerator}" if torch.accelerator else "")
    if not seen.found:
        yield "inside", f"no torch/version.py at {seen.tried} usual paths; it may be elsewhere, so this proves nothing"
    yield "inside", "the decision does not use this: it rests on the evidence above"


def _uses(facts: Facts) -> Iterable[tuple[str, str]]:
    item = facts.decision
    for container in facts.containers:
        ignored = ", which does not count as a use (usage.ignore_containers)" if container.ignored else ""
        yield "held by", f"container {container.by or container.name or container.id[:12]} ({container.state}){ignored}"
    if item.last_used is not None:
        by = f" by {item.last_used_by}" if item.last_used_by else ""
        yield "last used", f"{units.format_time(item.last_used)}{by}"
    elif not facts.uses:
        yield "last used", "never, as far as the agent has seen"
    for use in facts.uses[:USES_SHOWN]:
        yield "use", f"{units.format_time(use.at)} {use.action} {use.by}"
    for counted in facts.ignored:
        runs = f"{counted.runs} run{'' if counted.runs == 1 else 's'} since {units.format_time(counted.first_at)}"
        why = f"not uses: {counted.pattern!r} in usage.ignore_containers matches them"
        yield "ignored", f"{runs}, the last {units.format_time(counted.last_at)}; {why}"


def _decision(item: Decision, policy: Policy) -> Iterable[tuple[str, str]]:
    held = f" (held: {item.held_by})" if item.held_by else ""
    if item.idle_since is not None and item.ttl is not None and item.idle is not None:
        yield "idle since", f"{units.format_time(item.idle_since)}, {units.format_duration(item.idle)}"
        yield "TTL", f"{units.format_duration(item.ttl)}, by {rules.ttl_source(item.image, policy)}"
    yield "decision", f"{item.action}{held}: {item.reason}"
    yield "why", item.explanation
    for reference in newest.unread(item.image) if item.verdict.kind is not Class.OTHER else ():
        if count := rules.keep_newest(reference, policy):
            yield "note", f"{reference} names no version: keep_newest = {count} orders by build time in its repository"
    for warning in item.warnings:
        yield "warning", warning


def _eviction(item: Decision, now: datetime) -> Iterable[tuple[str, str]]:
    size = units.format_bytes(item.image.size_bytes)
    freed = f"{layers.about([item.image])} {units.format_bytes(item.estimated_bytes)}"
    yield "frees", f"{freed} of {size}: the layers that no other image has"
    if item.action is Action.EVICT:
        yield "evicted", "by the next sweep, once it is no longer held" if item.held_by else "by the next sweep"
    elif item.due is not None and item.due > now:
        yield "evicted", f"{units.format_time(item.due)}, unless it is used before"
    elif item.reason is Reason.IN_USE:
        yield "evicted", "a TTL after its last container is removed"
    else:
        yield "evicted", "never, as things are"


def _way_to_keep(item: Decision) -> Iterable[tuple[str, str]]:
    if item.verdict.kind is not Class.OTHER:
        name = item.image.standalone[0] if item.image.standalone else item.image.id[7:19]
        yield "keep it", f"torchkeeper pin {name}"
