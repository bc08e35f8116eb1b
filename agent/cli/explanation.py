"""One image explained: what it is, who used it, what decides about it and when, what that frees, how to keep it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from agent.cli import advice, output
from agent.core import text, units
from agent.core.images import layers
from agent.core.model import Class, Container
from agent.core.policy import newest, rules
from agent.core.policy.decision import Action, Decision, Reason
from agent.core.policy.overrides import Pin
from agent.core.policy.settings import Policy
from agent.core.pytorch import deciding
from agent.core.pytorch.version_file import LookedInside
from agent.core.usage.tracker import IgnoredRuns, Use

USES_SHOWN = 5
HEAD = 12  # columns of a heading


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known about one image."""

    at: datetime
    decision: Decision
    uses: Sequence[Use]  # the latest, newest first
    ignored: Sequence[IgnoredRuns]
    containers: Sequence[Container]
    pin: Pin | None = None  # the pin that keeps it
    inside: LookedInside | None = None  # what `--look-inside` found; None without that option


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact with its heading. `whole`: a name or a command to be copied, which must not be folded."""

    head: str
    body: str
    whole: bool = False


def render(facts: Facts, policy: Policy) -> RenderableType:
    """One line for each fact, with a heading, in the order in which people ask."""
    item = facts.decision
    shown = [
        *_identity(item),
        *_inside(facts.inside),
        *_uses(facts),
        *_decision(item, policy, facts.at),
        *_eviction(item, facts.at),
        *_advice("to keep it", advice.to_keep(item)),
        *_advice("to remove it", advice.to_remove(item, facts.containers, facts.pin)),
    ]
    return Group(*map(_line, shown))


def _line(fact: Fact) -> RenderableType:
    body = text.one_line(fact.body)
    if fact.whole:
        line = output.unfolded(fact.head.ljust(HEAD + 2) + body)
        line.stylize("bold", 0, len(fact.head))
        return line
    grid = Table.grid(padding=(0, 2), expand=False)
    grid.add_column(no_wrap=True, style="bold", width=HEAD)
    grid.add_column(overflow="fold")
    grid.add_row(fact.head, Text(body, overflow="fold"))
    return grid


def _advice(head: str, lines: Iterable[advice.Line]) -> Iterable[Fact]:
    for number, line in enumerate(lines):
        yield Fact("" if number else head, line.text, line.whole)


def _identity(item: Decision) -> Iterable[Fact]:
    verdict = item.verdict
    for number, name in enumerate(item.image.standalone or ("untagged",)):
        yield Fact("" if number else "image", name, whole=True)
    yield Fact("id", item.image.id, whole=True)
    torch = f"torch {verdict.torch_version}" if verdict.torch_version else ""
    versions = ", ".join(filter(None, [torch, verdict.accelerator]))
    yield Fact("class", verdict.kind + (f" ({versions})" if versions else ""))
    if decided := deciding.phrase(verdict):
        yield Fact("decided by", decided + (" alone" if deciding.single(verdict) else ""))
    for evidence in verdict.evidence:
        yield Fact("evidence", f"{evidence.text} ({evidence.strength} {evidence.kind})")
    yield Fact("from", item.image.origin or "no registry source is known", whole=item.image.origin is not None)


def _inside(seen: LookedInside | None) -> Iterable[Fact]:
    if seen is None:
        return
    for path, torch in seen.found.items():
        version = ", ".join(filter(None, [torch.version, torch.accelerator]))
        yield Fact("inside", f"{path} is of torch {version}")
    if not seen.found:
        nowhere = f"no torch/version.py at {seen.tried} usual paths"
        yield Fact("inside", f"{nowhere}; it may be elsewhere, so this proves nothing")
    yield Fact("inside", "the decision does not use this: it rests on the evidence above")


def _uses(facts: Facts) -> Iterable[Fact]:
    item = facts.decision
    for container in facts.containers:
        ignored = ", which does not count as a use (usage.ignore_containers)" if container.ignored else ""
        name = container.by or container.name or container.id[:12]
        yield Fact("held by", f"container {name} ({container.state}){ignored}")
    if item.last_used is not None:
        by = f" by {item.last_used_by}" if item.last_used_by else ""
        yield Fact("last used", f"{units.time_for_people(item.last_used, facts.at)}{by}")
    elif not facts.uses:
        yield Fact("last used", "never, as far as the agent has seen")
    for use in facts.uses[:USES_SHOWN]:
        yield Fact("use", f"{units.time_for_people(use.at, facts.at)}: {use.action} {use.by}")
    for counted in facts.ignored:
        since = units.time_for_people(counted.first_at, facts.at)
        runs = f"{counted.runs} run{'' if counted.runs == 1 else 's'} since {since}"
        why = f"not uses: {counted.pattern!r} in usage.ignore_containers matches them"
        yield Fact("ignored", f"{runs}, the last {units.time_for_people(counted.last_at, facts.at)}; {why}")


def _decision(item: Decision, policy: Policy, now: datetime) -> Iterable[Fact]:
    held = f" (held: {item.held_by})" if item.held_by else ""
    if item.idle_since is not None and item.ttl is not None and item.idle is not None:
        yield Fact("idle since", units.time_for_people(item.idle_since, now))
        yield Fact("TTL", f"{units.format_duration(item.ttl)}, by {rules.ttl_source(item.image, policy)}")
    yield Fact("decision", f"{item.action}{held}: {item.reason}")
    yield Fact("why", item.explanation)
    for reference in newest.unread(item.image) if item.verdict.kind is not Class.OTHER else ():
        if count := rules.keep_newest(reference, policy):
            order = f"keep_newest = {count} orders by build time in its repository"
            yield Fact("note", f"{reference} names no version: {order}")
    for warning in item.warnings:
        yield Fact("warning", warning)


def _eviction(item: Decision, now: datetime) -> Iterable[Fact]:
    size = units.format_bytes(item.image.size_bytes)
    freed = f"{layers.about([item.image])} {units.format_bytes(item.estimated_bytes)}"
    if item.estimated_bytes >= item.image.size_bytes:
        yield Fact("frees", f"{freed}: its whole size, for no other image has its layers")
    else:
        yield Fact("frees", f"{freed} of {size}: other images have the other layers, too")
    yield Fact("next", _next(item, now))


def _next(item: Decision, now: datetime) -> str:
    if item.action is Action.EVICT:
        return "will be removed by the next sweep" + (", once it is no longer held" if item.held_by else "")
    if item.due is not None and item.due > now:
        return f"will be removed {units.time_for_people(item.due, now)}, unless it is used before"
    if item.reason is Reason.IN_USE:
        return "will not be removed while a container uses it"
    return "will not be removed while this is so"
