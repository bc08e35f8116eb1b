"""Results for people: tables that fit 80 columns, plain where they are piped, colour never the only sign."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from agent.core import text, units
from agent.core.images import layers
from agent.core.lint.linter import Finding
from agent.core.policy import totals
from agent.core.policy.decision import Action, Decision, Outcome, Plan
from agent.core.protocol import inventory, new_events, payloads
from agent.core.pytorch import deciding
from agent.diagnostics.check import Check
from agent.eviction.results import SweepResult

NEXT_SHOWN = 3  # next evictions, listed below a plan
STOPPED_SHOWN = 10  # containers that keep images

_STYLE = {"evict": "bold yellow", "keep": "green", "removed": "bold yellow", "failed": "bold red", "refused": "red"}


def show(content: RenderableType) -> None:
    """Print to standard output: the terminal's width, 80 columns in a file."""
    console = Console(highlight=False, soft_wrap=False)
    console.print(content)


def plan(seen: Plan, *, show_all: bool) -> RenderableType:
    """Every image, its decision, and why."""
    table = _table("DECISION", "REASON", "IMAGE AND WHY")
    for item in _shown(seen, show_all=show_all):
        what = Text(_action(item), style=_STYLE[item.action])
        table.add_row(what, Text(item.reason), _with_line(_name(item), item.explanation, _sign(item)))
    return Group(table, Text(), *_totals(seen, show_all=show_all), Text(), _reasons(seen), *_ahead(seen))


def images(seen: Plan, *, show_all: bool) -> RenderableType:
    """Versions, times, size and decision of each image."""
    table = _table("TORCH", "ACCEL", "USED", "IDLE", "DUE", "SIZE", "IMAGE AND STATE")
    for item in _shown(seen, show_all=show_all):
        table.add_row(
            item.verdict.torch_version or "-",
            item.verdict.accelerator or "-",
            _used(item, seen.at),
            _short(item.idle_since, seen.at),
            _due(item, seen.at),
            units.format_bytes(item.image.size_bytes),
            _with_line(_name(item), f"{_action(item)}: {item.reason}"),
        )
    return Group(table, Text(), *_totals(seen, show_all=show_all))


def sweep(done: SweepResult) -> RenderableType:
    """The outcome of each eviction that was due."""
    table = _table("OUTCOME", "IMAGE AND WHY")
    due = [item for item in done.initial_plan.decisions if item.action is Action.EVICT]
    for item in due:
        outcome = done.outcomes.get(item.image.id)
        word = outcome.value if outcome is not None else f"held: {item.held_by}" if item.held_by else "kept"
        why = done.errors.get(item.image.id, item.explanation)
        table.add_row(Text(word, style=_STYLE.get(word, "")), _with_line(_name(item), why))
    removed = sum(one is Outcome.REMOVED for one in done.outcomes.values())
    line = f"{_count(done.initial_plan.decisions)} looked at, {len(due)} due, {removed} removed"
    if done.measured_bytes is not None:
        line += f", {units.format_bytes(done.measured_bytes)} freed"
    return Group(table, Text(), Text(line)) if due else Group(Text(line))


def history(events: Sequence[payloads.Event], since: str) -> RenderableType:
    """Decisions with their outcomes, oldest first, and how to pull removed images again."""
    rows = [row for row in map(_event_row, events) if row is not None]
    if not rows:
        return Text(f"nothing was decided in the last {since}")
    table = _table("WHEN (UTC)", "WHAT", "IMAGE AND WHY")
    for at, what, body in rows:
        table.add_row(f"{at:%Y-%m-%d %H:%M:%S}", Text(what, style=_STYLE.get(what, "")), body)
    return table


def _event_row(event: payloads.Event) -> tuple[datetime, str, RenderableType] | None:
    """When, what, and the details; None for an event that is not for people."""
    match payloads.data_of(event):
        case payloads.DecisionData() as decided:
            why = _with_line(_ref_name(decided.image), decided.explanation)
            return event.time, f"decided: {decided.reason}", why
        case payloads.OutcomeData() as ended:
            return event.time, ended.outcome.value, _with_line(_ref_name(ended.image), *_outcome_lines(ended))
        case payloads.GapData() as gap:
            return event.time, "gap", Text(f"{gap.cause}: {gap.seconds:.0f} s")
        case payloads.BuildCacheData() as cache:
            return event.time, f"build cache {cache.state}", Text(text.clean(_cache_line(cache)))
        case payloads.DroppedData() as lost:
            numbers = f"{lost.count} events, {lost.first_seq} to {lost.last_seq}"
            return event.time, "dropped", Text(f"{lost.reason}: {numbers}")
        case _:
            return None


def _outcome_lines(ended: payloads.OutcomeData) -> list[str]:
    """The error or what was freed, and how to pull again what was removed."""
    lines = [ended.error or _freed(ended.measured_bytes)]
    if ended.outcome is Outcome.REMOVED and ended.image.origin:
        lines.append(f"docker pull {ended.image.origin}")
    if ended.also_removed:
        lines += [f"also removed: {', '.join(ended.also_removed)}", new_events.pull_again(ended.also_removed)]
    return lines


def _cache_line(cache: payloads.BuildCacheData) -> str:
    size = units.format_bytes(cache.estimated_bytes if cache.measured_bytes is None else cache.measured_bytes)
    idle = units.format_duration(timedelta(seconds=cache.unused_seconds))
    return cache.error or f"{cache.records} records unused for {idle}: {size}"


def checks(found: Iterable[Check]) -> RenderableType:
    """Each finding, with what to do about it."""
    table = _table("CHECK", "", "DETAIL")
    for item in found:
        word = Text("ok" if item.ok else "FAILED", style="green" if item.ok else "bold red")
        table.add_row(item.name, word, _with_line(item.detail, f"-> {item.hint}" if item.hint else ""))
    return table


def lint(findings: Sequence[Finding]) -> RenderableType:
    """Each name that misleads, and why."""
    images = len({item.image_id for item in findings})
    counted = f"{len(findings)} finding{'' if len(findings) == 1 else 's'}"
    if not findings:
        return Text(counted)
    table = _table("RULE", "IMAGE AND WHY")
    for item in findings:
        table.add_row(item.rule, _with_line(item.reference, item.explanation))
    return Group(table, Text(), Text(f"{counted} on {images} image{'' if images == 1 else 's'}"))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for number, column in enumerate(columns):
        last = number == len(columns) - 1
        table.add_column(column, overflow="fold", ratio=None, no_wrap=not last)
    return table


def _shown(seen: Plan, *, show_all: bool) -> list[Decision]:
    ranked = sorted(seen.decisions, key=inventory.rank)
    return [item for item in ranked if show_all or item.image.references or item.image.digests]


def _reasons(seen: Plan) -> RenderableType:
    """Images and bytes by reason."""
    table = _table("REASON", "IMAGES", "BYTES")
    table.columns[1].justify = table.columns[2].justify = "right"
    for reason, share in totals.by_reason(seen).items():
        table.add_row(reason, str(share.images), units.format_bytes(share.bytes))
    return table


def _ahead(seen: Plan) -> Iterable[RenderableType]:
    """The next evictions, if nothing is used until then."""
    coming = totals.next_to_go(seen, NEXT_SHOWN)
    if coming:
        yield Text()
    for item in coming:
        left = units.format_duration((item.due or seen.at) - seen.at)
        yield Text(f"next, in {left}: {_name(item).splitlines()[0]}")


def stopped(found: Sequence[totals.StoppedOnly], now: datetime) -> RenderableType:
    """Stopped containers that keep images, and the commands that would free them."""
    if not found:
        return Text()
    table = _table("STOPPED", "HOLDS", "IMAGE THAT ONLY STOPPED CONTAINERS KEEP")
    for item in found[:STOPPED_SHOWN]:
        holds = units.format_bytes(item.decision.estimated_bytes)
        line = f"docker rm {' '.join(item.names)}"
        table.add_row(_short(item.since, now), holds, _with_line(_name(item.decision), line))
    more = len(found) - STOPPED_SHOWN
    return Group(Text(), table, *([Text(f"and {more} more")] if more > 0 else []))


def _totals(seen: Plan, *, show_all: bool) -> Iterable[RenderableType]:
    evicting = [item for item in seen.decisions if item.action is Action.EVICT]
    freed = f"{layers.about(item.image for item in evicting)} {units.format_bytes(seen.estimated_bytes)}"
    yield Text(f"{_count(seen.decisions)}, {len(evicting)} to evict, {freed} to free")
    left_out = len(seen.decisions) - len(_shown(seen, show_all=show_all))
    if left_out:
        yield Text(f"{left_out} untagged not shown (--all shows them)")
    if seen.pressure:
        shortfall = (
            f"; {units.format_bytes(seen.shortfall_bytes)} more would have to be freed" if seen.shortfall_bytes else ""
        )
        yield Text(f"{seen.pressure}{shortfall}")
    if seen.held_by is not None and evicting:
        until = f", until {units.format_time(seen.opens)}" if seen.opens is not None else ""
        yield Text(f"nothing is removed now: {seen.held_by}{until}")
    if seen.deferred:
        bytes_waiting = units.format_bytes(seen.deferred_bytes)
        yield Text(f"{_count(seen.deferred)} ({bytes_waiting}) wait for the policy-change grace period")


def _count(decisions: Sequence[Decision]) -> str:
    return f"{len(decisions)} image" + ("" if len(decisions) == 1 else "s")


def _action(item: Decision) -> str:
    return f"{item.action} (held: {item.held_by})" if item.held_by else item.action.value


def _sign(item: Decision) -> str:
    """The evidence that makes an image to evict PyTorch; "" for an image that is kept."""
    return f"PyTorch: {deciding.phrase(item.verdict)}" if item.action is Action.EVICT else ""


def _name(item: Decision) -> str:
    names = item.image.references or item.image.digests
    return text.clean("\n".join(names)) if names else f"untagged {item.image.id[7:19]}"


def _ref_name(image: payloads.ImageRef) -> str:
    return text.clean(" ".join(image.references)) or f"untagged {image.id[7:19]}"


def _with_line(first: str, *more: str) -> RenderableType:
    lines = Text(text.clean(first), overflow="fold")
    for line in filter(None, more):
        lines.append("\n" + text.clean(line), style="dim")
    return lines


def _used(item: Decision, now: datetime) -> str:
    """How long ago it was last used; `-` if the agent has seen no use."""
    return "now" if item.last_used == now else _short(item.last_used, now)


def _short(at: datetime | None, now: datetime) -> str:
    """The largest unit only: `15 d`."""
    return " ".join(units.format_duration(now - at).split(" ")[:2]) if at is not None else "-"


def _due(item: Decision, now: datetime) -> str:
    if item.due is None:
        return "-"
    return _short(now, item.due) if item.due > now else "now"


def _freed(measured: int | None) -> str:
    return f"freed {units.format_bytes(measured)}" if measured is not None else ""
