"""The history for people: one row for each eviction with its outcome, and the commands that undo it."""

import shlex
from collections.abc import Iterable, Sequence
from datetime import timedelta

from rich.console import RenderableType
from rich.text import Text

from agent.cli.rows import Row, stacked
from agent.cli.tables import STYLE
from agent.core import text, units
from agent.core.policy.decision import Outcome
from agent.core.protocol import new_events, payloads

HEADS = ("WHEN (UTC)", "WHAT", "IMAGE AND WHY")


def history(events: Sequence[payloads.Event], since: str, *, verbose: bool, width: int | None = 80) -> RenderableType:
    """Evictions with their outcomes, oldest first, and how to undo them. `verbose`: every event in a row of its own."""
    rows = list(_each_event(events, width) if verbose else _each_eviction(events, width))
    return stacked(HEADS, rows) if rows else Text(f"nothing was decided in the last {since}")


def _each_eviction(events: Sequence[payloads.Event], width: int | None) -> Iterable[Row]:
    """One row for each decision, where it was made; for an outcome whose decision is older, where it came."""
    outcomes = {data.decision_id: data for _, data in _read(events) if isinstance(data, payloads.OutcomeData)}
    shown: set[str] = set()
    for event, data in _read(events):
        if not isinstance(data, payloads.DecisionData | payloads.OutcomeData) or data.decision_id in shown:
            continue
        shown.add(data.decision_id)
        ended = outcomes.get(data.decision_id)
        why = data.explanation if isinstance(data, payloads.DecisionData) else ""
        word = ended.outcome.value if ended is not None else "decided"
        yield _row(event, word, data.image, width, [why, *_details(ended)], undo(ended))


def _each_event(events: Sequence[payloads.Event], width: int | None) -> Iterable[Row]:
    for event, data in _read(events):
        match data:
            case payloads.DecisionData():
                yield _row(event, f"decided: {data.reason}", data.image, width, [data.explanation])
            case payloads.OutcomeData():
                yield _row(event, data.outcome.value, data.image, width, _details(data), undo(data))
            case payloads.GapData():
                yield _plain(event, "gap", f"{data.cause}: {data.seconds:.0f} s")
            case payloads.BuildCacheData():
                yield _plain(event, f"build cache {data.state}", _cache_line(data))
            case payloads.DroppedData():
                numbers = f"{data.count} events, {data.first_seq} to {data.last_seq}"
                yield _plain(event, "dropped", f"{data.reason}: {numbers}")


def _read(events: Iterable[payloads.Event]) -> Iterable[tuple[payloads.Event, payloads.EventData | None]]:
    return ((event, payloads.data_of(event)) for event in events)


def _details(ended: payloads.OutcomeData | None) -> list[str]:
    """The error, or what was freed; and what else the engine removed."""
    if ended is None:
        return []
    freed = f"freed {units.format_bytes(ended.measured_bytes)}" if ended.measured_bytes is not None else ""
    also = f"also removed: {', '.join(ended.also_removed)}" if ended.also_removed else ""
    return [ended.error or freed, also]


def undo(ended: payloads.OutcomeData | None) -> tuple[str, ...]:
    """The commands that bring back what was removed: with torchkeeper, and with Docker alone. Each is one line."""
    if ended is None:
        return ()
    origin = ended.image.origin
    lines = []
    if ended.outcome is Outcome.REMOVED and origin:
        tags = [name for name in ended.image.references if "@" not in name]
        lines.append(shlex.join(["torchkeeper", "restore", (tags or [origin])[0]]))
        steps = [["docker", "pull", origin], *(["docker", "tag", origin, tag] for tag in tags)]
        lines.append(" && ".join(map(shlex.join, steps)))
    lines.append(new_events.pull_again(ended.also_removed))
    return tuple(text.one_line(line) for line in lines if line)


def _row(
    event: payloads.Event,
    what: str,
    image: payloads.ImageRef,
    width: int | None,
    why: Iterable[str],
    copyable: tuple[str, ...] = (),
) -> Row:
    """A row about an image. Where there is no terminal, its name and its details are one line."""
    name = text.one_line(" ".join(image.references)) or f"untagged {image.id[7:19]}"
    more = text.one_line("; ".join(filter(None, why)))
    body = Text(("  " if width is None else "\n").join(filter(None, [name, more])))
    return Row((_when(event), Text(what, style=STYLE.get(what, "")), body), copyable)


def _plain(event: payloads.Event, what: str, line: str) -> Row:
    return Row((_when(event), Text(what), Text(text.one_line(line))))


def _when(event: payloads.Event) -> Text:
    return Text(f"{event.time:%Y-%m-%d %H:%M}")


def _cache_line(cache: payloads.BuildCacheData) -> str:
    size = units.format_bytes(cache.estimated_bytes if cache.measured_bytes is None else cache.measured_bytes)
    idle = units.format_duration(timedelta(seconds=cache.unused_seconds))
    return cache.error or f"{cache.records} records unused for {idle}: {size}"
