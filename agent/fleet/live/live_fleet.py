"""The fleet as it is now: a row for each host, standing alerts, and what changed since when. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from agent.core.policy.decision import Action
from agent.core.protocol import payloads
from agent.core.protocol.alerts import AlertId
from agent.fleet.collector import batch as messages
from agent.fleet.collector.batch import Batch, Committed, Source, StoredEvent, StreamState
from agent.fleet.live import bounds, signs, totals
from agent.fleet.live.conditions import Identities
from agent.fleet.live.counters import Counters
from agent.fleet.live.host import LiveHost
from agent.fleet.live.moments import milliseconds
from agent.fleet.live.position import Position
from agent.fleet.live.row import HostRow, StandingAlert
from agent.fleet.live.silence import SilenceTimer
from agent.fleet.live.tracker import AlertKey, Tracker


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What differs since a tick. To apply it twice does no harm."""

    rows: list[HostRow]
    gone: list[str]
    alerts: list[StandingAlert]
    ended: list[tuple[AlertKey, int]]  # with the time of its end
    decisions: list[int]  # rows of decisions that were written, or whose outcome was


class LiveFleet:
    """All hosts. `apply` adds what was committed; `tick` closes a tick, after which viewers are sent its changes.

    `rows` and `streams` are from the last run, `last_decision` is the newest row of the decisions.
    """

    def __init__(
        self,
        boot: str,
        rows: Iterable[HostRow] = (),
        *,
        last_decision: int = 0,
        streams: Mapping[Source, StreamState] | None = None,
    ) -> None:
        self.counters = Counters(streams)
        self._hosts = {row.host: LiveHost.of(row) for row in rows}
        self._tracker = Tracker(boot, last_decision)
        self._identities = Identities()
        self._conditions: set[AlertKey] = set()  # alerts that this fleet raised itself
        self._silence = SilenceTimer()

    @property
    def position(self) -> Position:
        """That of the last closed tick."""
        return self._tracker.position

    def rows(self) -> list[HostRow]:
        return [host.row for host in self._hosts.values()]

    def row(self, name: str) -> HostRow | None:
        host = self._hosts.get(name)
        return host.row if host else None

    def alerts(self) -> list[StandingAlert]:
        """All standing alerts, the critical ones first, then the oldest."""
        standing = [alert for host in self._hosts.values() for alert in host.alerts.values()]
        return sorted(standing, key=lambda alert: (alert.severity, alert.since, alert.host, alert.id))

    def totals(self) -> totals.Totals:
        return totals.of(self.rows(), self.alerts())

    def changes(self, since_tick: int) -> Changes | None:
        """What changed after this tick; None if that is no longer known."""
        changed = self._tracker.since(since_tick)
        if changed is None:
            return None
        return Changes(
            rows=[self._hosts[name].row for name in changed.hosts],
            gone=changed.gone,
            alerts=[self._hosts[host].alerts[alert_id] for host, alert_id in changed.alerts],
            ended=changed.ended,
            decisions=changed.decisions,
        )

    def apply(self, batch: Batch, committed: Committed) -> None:
        """Add the changes of a batch that was committed."""
        self.counters.add(batch, committed)
        now = milliseconds(batch.at)
        for change in batch.changes:
            self._apply_change(change, now)
        for stored in batch.events:
            self._apply_event(stored, now)
        for name, regrets in committed.regrets.items():
            self._host(name).add_figures(regrets=regrets)
            self._show(name, now)
        for decision in committed.decisions:
            self._tracker.change_decision(decision.id, now)

    def set_figures(self, freed_24h: Mapping[str, int], regrets_30d: Mapping[str, int]) -> None:
        """Figures of the last day and month by host, from the history, as they shrink with time alone."""
        for name, host in self._hosts.items():
            host.set_figures(freed=freed_24h.get(name, 0), regrets=regrets_30d.get(name, 0))
            if host.is_changed and host.take_news():
                self._tracker.change_host(name)

    def tick(self, now: datetime) -> bool:
        """Close a tick. Returns False if nothing changed since the last one; `position` is as before then."""
        at = milliseconds(now)
        for name in self._silence.due(at):
            if name in self._hosts:
                self._show(name, at)
        self._show_conditions(now)
        return self._tracker.close(at)

    def _apply_change(self, change: messages.Change, now: int) -> None:
        cleared = signs.is_cleared(change)
        if cleared and change.host not in self._hosts:
            return
        host = self._host(change.host)
        match change:
            case messages.StatusChange(status=status):
                host.set_status(status)
                self._identify(change)
            case messages.InfoChange(info=info):
                host.set_info(info, change.at)
            case messages.InventoryChange(summary=summary):
                host.set_inventory(summary)
            case messages.AlertChange():
                self._set_alert((change.host, change.alert_id), signs.standing(change), milliseconds(change.at))
        host.see(signs.of_life(change))
        if cleared and not host.is_known:
            self._remove(change.host, now)
        else:
            self._show(change.host, now)

    def _apply_event(self, stored: StoredEvent, now: int) -> None:
        host = self._host(stored.host)
        match stored.data:
            case payloads.DecisionData(action=Action.EVICT) as data:
                host.decide(data, stored.event.time)
            case payloads.OutcomeData() as data:
                self.counters.add_eviction(data, host.end(data, stored.event.time))
            case payloads.BuildCacheData() as data:
                host.add_figures(freed=bounds.freed(data.measured_bytes or 0))
                self.counters.add_build_cache(data)
        self._show(stored.host, now)

    def _host(self, name: str) -> LiveHost:
        if name not in self._hosts:
            self._hosts[name] = LiveHost(HostRow(host=name))
        return self._hosts[name]

    def _show(self, name: str, now: int) -> None:
        """Note what viewers lack, and when the host will be silent for too long."""
        host = self._hosts[name]
        host.show_state(now)
        if host.silent_at is not None:
            self._silence.watch(name, host.silent_at)
        if host.take_news():
            self._tracker.change_host(name)

    def _remove(self, name: str, now: int) -> None:
        for alert_id in self._hosts[name].alerts:
            self._tracker.end_alert((name, alert_id), now)
        self._identities.forget(name)
        self._tracker.remove_host(name, now)
        del self._hosts[name]

    def _set_alert(self, key: AlertKey, alert: StandingAlert | None, at: int) -> None:
        name, alert_id = key
        if name not in self._hosts or not self._hosts[name].set_alert(alert_id, alert):
            return
        self._show(name, at)
        if alert is None:
            self._tracker.end_alert(key, at)
        else:
            self._tracker.change_alert(key)

    def _identify(self, change: messages.StatusChange) -> None:
        """A retained status may be old, so it does not show that its agent runs now."""
        if change.status is None or change.retain:
            return
        if change.status.state == "online":
            self._identities.saw(change.host, change.status.agent_id, change.at)
        else:
            self._identities.ended(change.status.agent_id)

    def _show_conditions(self, now: datetime) -> None:
        """Raise and end the alerts that no agent can raise alone, unless the agent has noticed it, too."""
        found = {(alert.host, alert.id): alert for alert in self._identities.alerts(now)}
        wanted = {key: alert for key, alert in found.items() if not self._has(key[0], AlertId.TWO_AGENTS)}
        for key in self._conditions - wanted.keys():
            self._set_alert(key, None, milliseconds(now))
        for key, alert in wanted.items():
            self._set_alert(key, alert, milliseconds(now))
        self._conditions = set(wanted)

    def _has(self, name: str, alert_id: str) -> bool:
        return name in self._hosts and alert_id in self._hosts[name].alerts
