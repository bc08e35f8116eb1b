"""The state of the fleet, folded from its messages. Pure: `at` is always the time at which a message arrived.

Of an inventory only its summary is kept, and what the command shows of it: decoded ones of 10,000 hosts take gigabytes.
"""

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from agent.core.policy.decision import Action
from agent.core.protocol import payloads
from agent.core.protocol.topics import Topics
from agent.fleet.live import build_row
from agent.fleet.live.moments import milliseconds
from agent.fleet.live.row import HostRow, State
from agent.fleet.live.summary import NO_INVENTORY, InventoryOutline, InventorySummary, summary_of

STALE_AFTER = build_row.STALE_AFTER
MAX_EVENTS = 500  # the latest events of the whole fleet that are kept

Detail = Literal["images", "decisions"]  # a part of each inventory
IMAGES: Detail = "images"
DECISIONS: Detail = "decisions"
ALL = (IMAGES, DECISIONS)
Decisions = dict[tuple[str, str], payloads.LastDecision]  # by host and decision ID


@dataclass
class Host:
    """The content of one host's retained topics."""

    name: str
    row: HostRow  # with what the info says; see `row_at`
    status: payloads.Status | None = None
    session: int | None = None  # of the last birth
    summary: InventorySummary = NO_INVENTORY
    inventory: payloads.Inventory | None = None  # with the details that the view keeps; None: none is kept or known
    alerts: dict[str, payloads.Alert] = field(default_factory=dict)
    last_seen: datetime | None = None

    def state(self, now: datetime) -> State:
        seen = milliseconds(self.last_seen) if self.last_seen else None
        return build_row.state_of(self.status.state if self.status else None, seen, milliseconds(now))

    def row_at(self, now: datetime) -> HostRow:
        """The whole row, as of now."""
        seen = milliseconds(self.last_seen) if self.last_seen else None
        row = replace(self.row, state=self.state(now), last_seen=seen)
        row = build_row.with_inventory(row, self.summary, milliseconds(now))
        return build_row.with_alerts(row, self.alerts.values()) if self.alerts else row

    @property
    def known(self) -> bool:
        """Whether it has any retained topic. A host whose topics were all cleared is no longer listed."""
        has_info, has_inventory = self.row.mode is not None, self.summary.images is not None
        return bool(self.status or has_info or has_inventory or self.alerts)


@dataclass(frozen=True, slots=True)
class DecisionLine:
    """One eviction decision of one host, with its outcome if that is known."""

    host: str
    decision: payloads.LastDecision  # its reason is "" if only the outcome was received


class FleetView:
    """All hosts below one prefix. `apply` adds messages; a repeated message changes nothing.

    `details`: what is kept of each inventory beside its summary. Events are kept only with the detail "decisions".
    """

    def __init__(self, prefix: str, details: Collection[Detail] = ALL) -> None:
        self._prefix = prefix
        self._details = details
        self._topics = Topics(prefix, "+")
        self._hosts: dict[str, Host] = {}
        self._events: OrderedDict[tuple[str, str, int], tuple[str, payloads.Event]] = OrderedDict()
        self.applied = 0  # messages so far
        self.retained = 0  # those of them that are older than the subscription

    def apply(self, topic: str, payload: bytes, at: datetime, *, retained: bool = False) -> None:
        """Apply one message. A `retained` one is older than `at`, so only the time in its payload shows its age."""
        self.applied += 1
        parsed = self._topics.parse(topic)
        if parsed is None:
            return
        self.retained += retained
        name, rest = parsed
        if rest == "events":
            if DECISIONS in self._details:
                self._apply_event(name, payload)
            if name in self._hosts and not retained:
                _see(self._hosts[name], at)
            return
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = Host(name, HostRow(host=name))
        self._apply_retained(host, rest, payload, at, retained)
        if not host.known:
            del self._hosts[name]

    def hosts(self) -> list[Host]:
        """All hosts, sorted by name."""
        return [self._hosts[name] for name in sorted(self._hosts)]

    def decisions(self, since: datetime | None = None, host: str | None = None) -> list[DecisionLine]:
        """One line per decision, newest first, merged from the last ones in the inventories and all events."""
        known: Decisions = {}
        for name in self._hosts:
            inventory = self._hosts[name].inventory
            known |= {(name, last.decision_id): last for last in (inventory.decisions if inventory else ())}
        for name, event in sorted(self._events.values(), key=lambda item: item[1].time):
            _merge_event(known, name, event)
        wanted = (
            DecisionLine(name, decision)
            for (name, _), decision in known.items()
            if (since is None or decision.at >= since) and (host is None or name == host)
        )
        return sorted(wanted, key=lambda line: (line.decision.at, line.host, line.decision.decision_id), reverse=True)

    def shows_only_status_of(self, name: str) -> bool:
        """Whether one host is known, with this name, and nothing but its status: what its own user may read."""
        hosts = list(self._hosts.values())
        own = len(hosts) == 1 and hosts[0].name == name and hosts[0].status is not None
        return own and hosts[0].row.mode is None and hosts[0].summary.images is None

    def renewed(self) -> "FleetView":
        """A new view with the same events, to be filled again from the retained messages, some of which may be gone."""
        fresh = FleetView(self._prefix, self._details)
        fresh._events = self._events.copy()
        return fresh

    def _apply_retained(self, host: Host, rest: str, payload: bytes, at: datetime, retained: bool) -> None:
        """Apply one retained topic of a host. An empty payload clears it, and an invalid one changes nothing."""
        own_time: datetime | None = None
        if rest == "status":
            own_time = _apply_status(host, payload, at, retained)
        elif rest == "info":
            own_time = _apply_info(host, payload, at)
        elif rest == "inventory":
            own_time = self._apply_inventory(host, payload)
        elif rest.startswith("alerts/"):
            _apply_alert(host, rest.removeprefix("alerts/"), payload)
        if own_time is not None:
            _see(host, min(own_time, at) if retained else at)

    def _apply_inventory(self, host: Host, payload: bytes) -> datetime | None:
        inventory: payloads.Inventory | InventoryOutline | None
        if self._details:
            inventory = payloads.decode(payloads.Inventory, payload)
        else:
            inventory = payloads.decode(InventoryOutline, payload)
        if inventory is None:
            if not payload:
                host.summary, host.inventory = NO_INVENTORY, None
            return None
        host.summary = summary_of(inventory)
        if isinstance(inventory, payloads.Inventory):
            left_out: dict[str, object] = {name: [] for name in ALL if name not in self._details}
            host.inventory = inventory.model_copy(update=left_out)
        return inventory.at

    def _apply_event(self, name: str, payload: bytes) -> None:
        event = payloads.decode(payloads.Event, payload)
        epoch, seq = (event.data.get("epoch"), event.data.get("seq")) if event else (None, None)
        if event is None or not isinstance(epoch, str) or not isinstance(seq, int):
            return
        self._events.setdefault((name, epoch, seq), (name, event))
        while len(self._events) > MAX_EVENTS:
            self._events.popitem(last=False)


def _see(host: Host, at: datetime) -> None:
    host.last_seen = max(at, host.last_seen) if host.last_seen else at


def _apply_status(host: Host, payload: bytes, at: datetime, retained: bool) -> datetime | None:
    """Apply a status. Returns when the host was alive by its own report; None if the status does not show that."""
    status = payloads.decode(payloads.Status, payload)
    if status is None:
        if not payload:
            host.status = host.session = None
        return None
    if status.state == "online":
        host.status, host.session = status, status.session
        return status.at
    if host.session not in (None, status.session):
        return None  # the late will of an earlier session
    host.status = status
    # The broker sends a will that was written when its session began, so only the time in it counts.
    _see(host, min(status.at, at))
    return None


def _apply_info(host: Host, payload: bytes, at: datetime) -> datetime | None:
    info = payloads.decode(payloads.Info, payload)
    if info is not None or not payload:
        host.row = build_row.with_info(host.row, info, at)
    return info.at if info else None


def _apply_alert(host: Host, alert_id: str, payload: bytes) -> None:
    alert = payloads.decode(payloads.Alert, payload)
    if alert is not None:
        host.alerts[alert_id] = alert
    elif not payload:
        host.alerts.pop(alert_id, None)


def _merge_event(known: Decisions, host: str, event: payloads.Event) -> None:
    """Add a decision to evict, or the outcome of one; other events change nothing."""
    match payloads.data_of(event):
        case payloads.DecisionData(action=Action.EVICT) as data:
            before = known.get((host, data.decision_id))
            known[host, data.decision_id] = _with_outcome_of(before, payloads.LastDecision.of(data, event.time))
        case payloads.OutcomeData() as data:
            before = known.get((host, data.decision_id)) or _without_decision(data, event.time)
            known[host, data.decision_id] = before.with_outcome(data)
        case _:
            pass


def _with_outcome_of(before: payloads.LastDecision | None, decision: payloads.LastDecision) -> payloads.LastDecision:
    """A decision that comes after its outcome, or again, keeps the outcome."""
    if before is None:
        return decision
    ended = before.model_dump(include={"outcome", "measured_bytes", "error"})
    return decision.model_copy(update=ended)


def _without_decision(data: payloads.OutcomeData, at: datetime) -> payloads.LastDecision:
    """What an outcome alone shows of its decision."""
    return payloads.LastDecision(
        decision_id=data.decision_id,
        at=at,
        image_id=data.image.id,
        references=data.image.references,
        reason="",
        mode="",
        explanation="",
        estimated_bytes=0,
    )
