"""Results for people: tables that fit 80 columns, plain where they are piped, colour never the only sign.

`width` is that of the terminal. From WIDE columns each image is one line, unless its name or its reason is longer
than its column. None is no terminal: each image is one line, and nothing is folded.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from agent.cli import output
from agent.cli.forms import Form, form_of, table, with_line
from agent.cli.rows import Row, stacked
from agent.cli.selection import Selection, names_of
from agent.core import text, units
from agent.core.images import layers
from agent.core.lint.linter import Finding
from agent.core.policy import totals
from agent.core.policy.decision import Action, Decision, Outcome, Plan
from agent.core.pytorch import deciding
from agent.diagnostics.check import Check
from agent.eviction.results import SweepResult

if TYPE_CHECKING:
    from agent.cli.plan import Ahead

show = output.show  # the commands import it from here

NEXT_SHOWN = 3  # next evictions, listed below a plan
STOPPED_SHOWN = 10  # containers that keep images

STYLE = {"evict": "bold yellow", "keep": "green", "removed": "bold yellow", "failed": "bold red", "refused": "red"}


def plan(seen: Plan, *, chosen: Selection = Selection(), width: int | None = 80) -> RenderableType:
    """Every image, its decision, and why."""
    shown = chosen.of(seen)
    columns = max(len(word) for word in ["DECISION", *map(_action, shown)])
    columns += max(len(word) for word in ["REASON", *(item.reason for item in shown)])
    form = form_of(shown, width, beside=columns + 4)
    listed = table("DECISION", "REASON", *form.heads("WHY"), name_width=form.name_width)
    for item in shown:
        what = Text(_action(item), style=STYLE[item.action])
        listed.add_row(what, Text(item.reason), *form.cells(names_of(item), item.explanation, if_it_fits=_sign(item)))
    above: list[RenderableType] = [listed, Text()] if shown else []
    return Group(*above, *_totals(seen, chosen), Text(), _reasons(seen), *_ahead(seen))


def images(seen: Plan, *, chosen: Selection = Selection(), width: int | None = 80) -> RenderableType:
    """Versions, times, size and decision of each image."""
    shown = chosen.of(seen)
    form = form_of(shown, width, beside=50, room=20)
    heads = ("TORCH", "ACCEL", "USED", "IDLE", "DUE", "SIZE", *form.heads("STATE"))
    listed = table(*heads, name_width=form.name_width)
    for item in shown:
        listed.add_row(
            item.verdict.torch_version or "-",
            item.verdict.accelerator or "-",
            _used(item, seen.at),
            _short(item.idle_since, seen.at),
            _due(item, seen.at),
            units.format_bytes(item.image.size_bytes),
            *form.cells(names_of(item), f"{_action(item)}: {item.reason}"),
        )
    above: list[RenderableType] = [listed, Text()] if shown else []
    return Group(*above, *_totals(seen, chosen))


def sweep(done: SweepResult) -> RenderableType:
    """The outcome of each eviction that was due."""
    due = [item for item in done.initial_plan.decisions if item.action is Action.EVICT]
    form = form_of(due, output.width(), beside=15)
    listed = table("OUTCOME", *form.heads("WHY"), name_width=form.name_width)
    for item in due:
        outcome = done.outcomes.get(item.image.id)
        word = outcome.value if outcome is not None else f"held: {item.held_by}" if item.held_by else "kept"
        why = done.errors.get(item.image.id, item.explanation)
        listed.add_row(Text(word, style=STYLE.get(word, "")), *form.cells(names_of(item), why))
    removed = sum(one is Outcome.REMOVED for one in done.outcomes.values())
    line = f"{_count(done.initial_plan.decisions)} looked at, {len(due)} due, {removed} removed"
    if done.measured_bytes is not None:
        line += f", {units.format_bytes(done.measured_bytes)} freed"
    return Group(listed, Text(), Text(line)) if due else Group(Text(line))


def nothing_due(coming: "Ahead", command: str) -> RenderableType:
    """What the plan of a later time would show, for a host on which nothing is due now."""
    due = [item for item in coming.plan.decisions if item.action is Action.EVICT]
    shows = f"{_count(due)}, {units.format_bytes(coming.plan.estimated_bytes)}"
    return Group(Text(), Text(f"nothing is due yet; `{command}` shows {shows}"))


def checks(found: Iterable[Check]) -> RenderableType:
    """Each finding, with what to do about it."""
    listed = table("CHECK", "", "DETAIL")
    for item in found:
        word = Text("ok" if item.ok else "FAILED", style="green" if item.ok else "bold red")
        listed.add_row(item.name, word, with_line(item.detail, f"-> {item.hint}" if item.hint else ""))
    return listed


def lint(findings: Sequence[Finding], width: int | None = 80) -> RenderableType:
    """Each name that misleads, and why."""
    images = len({item.image_id for item in findings})
    counted = f"{len(findings)} finding{'' if len(findings) == 1 else 's'}"
    if not findings:
        return Text(counted)
    form = Form(flat=width is None)
    listed = table("RULE", *form.heads("WHY"))
    for item in findings:
        listed.add_row(item.rule, *form.cells((text.one_line(item.reference),), item.explanation))
    return Group(listed, Text(), Text(f"{counted} on {images} image{'' if images == 1 else 's'}"))


def _reasons(seen: Plan) -> RenderableType:
    """Images and bytes by reason."""
    listed = table("REASON", "IMAGES", "BYTES")
    listed.columns[1].justify = listed.columns[2].justify = "right"
    for reason, share in totals.by_reason(seen).items():
        listed.add_row(reason, str(share.images), units.format_bytes(share.bytes))
    return listed


def _ahead(seen: Plan) -> Iterable[RenderableType]:
    """The next evictions, if nothing is used until then."""
    coming = totals.next_to_go(seen, NEXT_SHOWN)
    if coming:
        yield Text()
    for item in coming:
        left = units.format_duration((item.due or seen.at) - seen.at)
        yield output.unfolded(f"next, in {left}: {names_of(item)[0]}")


def stopped(found: Sequence[totals.StoppedOnly], now: datetime, width: int | None = 80) -> RenderableType:
    """Stopped containers that keep images, and the commands that would free them."""
    if not found:
        return Text()
    rows = [_stopped_row(item, now, width) for item in found[:STOPPED_SHOWN]]
    heads = ("STOPPED", "HOLDS", "IMAGE THAT ONLY STOPPED CONTAINERS KEEP")
    more = len(found) - STOPPED_SHOWN
    return Group(Text(), stacked(heads, rows), *([Text(f"and {more} more")] if more > 0 else []))


def _stopped_row(item: totals.StoppedOnly, now: datetime, width: int | None) -> Row:
    """Where there is no terminal, the command stands in the same line as the image."""
    holds, names = units.format_bytes(item.decision.estimated_bytes), ", ".join(names_of(item.decision))
    command = text.one_line(f"docker rm {' '.join(item.names)}")
    last = names if width is not None else f"{names}  {command}"
    cells = (Text(_short(item.since, now)), Text(holds), Text(last))
    return Row(cells, (command,) if width is not None else ())


def _totals(seen: Plan, chosen: Selection) -> Iterable[RenderableType]:
    evicting = [item for item in seen.decisions if item.action is Action.EVICT]
    freed = f"{layers.about(item.image for item in evicting)} {units.format_bytes(seen.estimated_bytes)}"
    yield Text(f"{_count(seen.decisions)}, {len(evicting)} to evict, {freed} to free")
    left_out = 0 if chosen.show_all else sum(item.image.untagged for item in seen.decisions)
    if left_out:
        yield Text(f"{left_out} untagged not shown (--all shows them)")
    if seen.pressure:
        shortfall = (
            f"; {units.format_bytes(seen.shortfall_bytes)} more would have to be freed" if seen.shortfall_bytes else ""
        )
        yield Text(f"{seen.pressure}{shortfall}")
    if seen.held_by is not None and evicting:
        until = f", until {units.time_for_people(seen.opens, seen.at)}" if seen.opens is not None else ""
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
