"""What viewers lack, as bytes to write: made once for all viewers that lack the same."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

import structlog

from agent.fleet.history.errors import HistoryUnavailable
from agent.fleet.live.live_fleet import Changes, LiveFleet
from agent.fleet.live.position import Position
from agent.fleet.live.snapshot import encode_rows
from agent.fleet.web import events
from agent.fleet.web.decision_pages import DecisionPages, DecisionsAfter
from agent.fleet.web.snapshots import Snapshots

MANY_ROWS = 500  # are encoded in a thread
_SHARED = 16  # frames that are kept: viewers that are up to date need one, slow ones one more each

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Frame:
    """Events to write, and the position of a viewer that has them."""

    position: Position
    body: bytes


class Frames:
    """Frames from any position to the last closed tick. `renew` is to be called after each tick."""

    def __init__(self, live: LiveFleet, snapshots: Snapshots, decisions_after: DecisionsAfter) -> None:
        self._live = live
        self._snapshots = snapshots
        self._decisions = DecisionPages(decisions_after)
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
            page = await self._decisions.after(min(mine.decision, target.decision), target.decision, changes.decisions)
        except HistoryUnavailable as error:  # viewers stay, and the next tick tries again
            self._note_readable(error)
            return Frame(mine, b"")
        self._note_readable(None)
        position = Position(target.boot, target.tick, page.last)
        return Frame(position, events.with_id(parts + page.events, position))

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

    def _note_readable(self, error: HistoryUnavailable | None) -> None:
        if error is not None and self._is_readable:
            log.warning("the history cannot be read for the viewers", action="stream", error=str(error))
        elif error is None and not self._is_readable:
            log.info("the history can be read for the viewers again", action="stream")
        self._is_readable = error is None
