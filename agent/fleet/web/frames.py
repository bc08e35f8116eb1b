"""What viewers lack, as bytes to write: made once for all viewers that lack the same."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from agent.fleet.live.live_fleet import Changes, LiveFleet
from agent.fleet.live.position import Position
from agent.fleet.live.snapshot import encode_rows
from agent.fleet.web import documents, events
from agent.fleet.web.snapshots import Snapshots

PAGE = 100  # decisions in one frame
# A viewer that lacks more decisions is told which ones it is not sent, and outcomes of older ones are not sent:
# after an outage of the monitor, hundreds of viewers would each get all that was missed. /api/decisions has them.
MAX_BEHIND = 1000
MANY_ROWS = 500  # are encoded in a thread
_SHARED = 16  # frames that are kept: viewers that are up to date need one, slow ones one more each

DecisionsAfter = Callable[[int, int], Awaitable[list[documents.Decision]]]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Frame:
    """Events to write, and the position of a viewer that has them."""

    position: Position
    body: bytes


class Frames:
    """Frames from any position to the last closed tick. `renew` is to be called after each tick.

    `decisions_after(row, limit)` reads decisions above a row from the history, in ascending order.
    """

    def __init__(self, live: LiveFleet, snapshots: Snapshots, decisions_after: DecisionsAfter) -> None:
        self._live = live
        self._snapshots = snapshots
        self._decisions_after = decisions_after
        self._frames: OrderedDict[Position, asyncio.Task[Frame]] = OrderedDict()
        self._encoding = asyncio.Lock()
        self._is_readable = True

    def renew(self) -> None:
        self._frames.clear()

    async def after(self, position: Position) -> Frame:
        """What a viewer at this position lacks. Its position is the same if the history cannot be read now."""
        if position not in self._frames:
            self._frames[position] = asyncio.create_task(self._make(position), name="frame")
            if len(self._frames) > _SHARED:
                self._frames.popitem(last=False)
        return await asyncio.shield(self._frames[position])

    async def _make(self, mine: Position) -> Frame:
        target = self._live.position
        changes = self._live.changes(mine.tick) if mine.boot == target.boot else None
        if changes is None:
            return self._reset(mine, target)
        parts = await self._state_events(changes)
        try:
            decision, more = await self._decision_events(mine, target, changes)
        except Exception as error:  # whatever the database raises: viewers stay, and the next tick tries again
            self._note_unreadable(error)
            return Frame(mine, b"")
        self._is_readable = True
        position = Position(target.boot, target.tick, decision)
        return Frame(position, events.with_id(parts + more, position))

    def _reset(self, mine: Position, target: Position) -> Frame:
        """The viewer takes a snapshot, and the stream goes on from the oldest one that it can get."""
        position = Position(target.boot, self._snapshots.oldest_tick, min(mine.decision, target.decision))
        return Frame(position, events.with_id([events.event("reset", b"{}")], position))

    async def _state_events(self, changes: Changes) -> list[bytes]:
        parts = []
        if changes.rows:
            parts.append(events.event("hosts", await self._encode_rows(changes)))
        if changes.gone:
            parts.append(events.event("gone", events.as_json(changes.gone)))
        alerts = [events.alert_fields(alert) for alert in changes.alerts]
        alerts += [events.ended_fields(key, until) for key, until in changes.ended]
        if alerts:
            parts.append(events.event("alerts", events.as_json(alerts)))
        return parts

    async def _encode_rows(self, changes: Changes) -> bytes:
        if len(changes.rows) < MANY_ROWS:
            return encode_rows(changes.rows)
        async with self._encoding:  # one thread at a time: each takes its part of the interpreter from the loop
            return await asyncio.to_thread(encode_rows, changes.rows)

    async def _decision_events(self, mine: Position, target: Position, changes: Changes) -> tuple[int, list[bytes]]:
        """The newest decision that the viewer then has, and the events: new decisions, and others with an outcome."""
        parts = []
        since = min(mine.decision, target.decision)
        ended = {row for row in changes.decisions if target.decision - MAX_BEHIND < row <= since}
        if target.decision - since > MAX_BEHIND:
            skipped = {"after": since, "until": target.decision - PAGE}
            parts.append(events.event("skipped", events.as_json(skipped)))
            since = skipped["until"]
        shown = await self._read(ended)
        fresh = await self._decisions_after(since, PAGE) if target.decision > since else []
        shown += [decision for decision in fresh if decision.id <= target.decision]
        if shown:
            parts.append(events.event("decisions", events.decisions_json(shown)))
        is_all = len(fresh) < PAGE or fresh[-1].id >= target.decision
        return target.decision if is_all else fresh[-1].id, parts

    async def _read(self, rows: set[int]) -> list[documents.Decision]:
        """These decisions, in ascending order. Most are near each other, so they come with few reads."""
        found: list[documents.Decision] = []
        while rows:
            page = await self._decisions_after(min(rows) - 1, PAGE)
            found += [decision for decision in page if decision.id in rows]
            last = page[-1].id if len(page) == PAGE else max(rows)
            rows = {row for row in rows if row > last}
        return found

    def _note_unreadable(self, error: Exception) -> None:
        if self._is_readable:
            log.warning("the history cannot be read for the viewers", action="stream", error=repr(error))
        self._is_readable = False
