"""Keeps in which tick hosts, alerts and decisions changed, so that a viewer of any age gets what it lacks."""

from dataclasses import dataclass
from datetime import timedelta

from agent.fleet.live.change_log import ChangeLog
from agent.fleet.live.position import Position

REMEMBER = timedelta(hours=1)  # hosts and alerts that are gone; a viewer that was away for longer starts again
MAX_REMEMBERED = 10_000  # of each kind

_REMEMBER_MS = REMEMBER // timedelta(milliseconds=1)

AlertKey = tuple[str, str]  # host, alert ID


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What differs since a tick: names only, as the present state is what counts."""

    hosts: list[str]
    gone: list[str]
    alerts: list[AlertKey]
    ended: list[tuple[AlertKey, int]]  # with the time of its end
    decisions: list[int]  # rows that were written, or whose outcome was


class Tracker:
    """Changes since the start. A change belongs to the open tick; `close` makes it part of `position`."""

    def __init__(self, boot: str, last_decision: int) -> None:
        self.position = Position(boot, 0, last_decision)
        self._last_decision = last_decision
        self._is_open = False  # whether anything changed since the last tick
        self._horizon = 0  # changes up to this tick are no longer all known
        self._hosts: ChangeLog[str] = ChangeLog()
        self._gone: ChangeLog[str] = ChangeLog()
        self._alerts: ChangeLog[AlertKey] = ChangeLog()
        self._ended: ChangeLog[AlertKey] = ChangeLog()
        self._decisions: ChangeLog[int] = ChangeLog()

    def change_host(self, name: str) -> None:
        self._gone.forget(name)
        self._hosts.mark(name, self._open())

    def remove_host(self, name: str, at: int) -> None:
        self._hosts.forget(name)
        self._gone.mark(name, self._open(), at)

    def change_alert(self, key: AlertKey) -> None:
        self._ended.forget(key)
        self._alerts.mark(key, self._open())

    def end_alert(self, key: AlertKey, at: int) -> None:
        self._alerts.forget(key)
        self._ended.mark(key, self._open(), at)

    def change_decision(self, row: int, at: int) -> None:
        self._decisions.mark(row, self._open(), at)
        self._last_decision = max(self._last_decision, row)

    def close(self, at: int) -> bool:
        """End the open tick. Returns False if nothing changed in it, and `position` is as before."""
        before = at - _REMEMBER_MS
        dropped = (log.drop_older(before, MAX_REMEMBERED) for log in (self._gone, self._ended, self._decisions))
        self._horizon = max(self._horizon, *dropped)
        if not self._is_open:
            return False
        self.position = Position(self.position.boot, self.position.tick + 1, self._last_decision)
        self._is_open = False
        return True

    def since(self, tick: int) -> Changed | None:
        """What changed after this tick; None if that is not fully known, so that only a new snapshot helps."""
        if not self._horizon <= tick <= self.position.tick:
            return None
        return Changed(
            hosts=[name for name, _, _ in self._hosts.since(tick)],
            gone=[name for name, _, _ in self._gone.since(tick)],
            alerts=[key for key, _, _ in self._alerts.since(tick)],
            ended=[(key, at) for key, _, at in self._ended.since(tick)],
            # those of the open tick come with it, each once
            decisions=[row for row, changed, _ in self._decisions.since(tick) if changed <= self.position.tick],
        )

    def _open(self) -> int:
        self._is_open = True
        return self.position.tick + 1
