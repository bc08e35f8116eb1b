"""The state of the fleet, folded from its messages. Pure: `at` is always the time at which a message arrived."""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from agent.core import units
from agent.core.policy.decision import Action
from agent.core.protocol import payloads, sentence
from agent.core.protocol.topics import Topics

STALE_AFTER = timedelta(minutes=3)  # three status messages are missing
MAX_EVENTS = 500  # the latest events of the whole fleet that are kept

State = Literal["online", "stale", "offline", "unknown"]
Decisions = dict[tuple[str, str], payloads.LastDecision]  # by host and decision ID


@dataclass
class Host:
    """The content of one host's retained topics."""

    name: str
    status: payloads.Status | None = None
    session: int | None = None  # of the last birth
    info: payloads.Info | None = None
    inventory: payloads.Inventory | None = None
    alerts: dict[str, payloads.Alert] = field(default_factory=dict)
    last_seen: datetime | None = None

    def state(self, now: datetime) -> State:
        if self.status is None:
            return "unknown"
        if self.status.state == "offline":
            return "offline"
        silent = self.last_seen is None or now - self.last_seen > STALE_AFTER
        return "stale" if silent else "online"

    @property
    def images(self) -> int:
        """The number of its images, including those that were left out of its inventory."""
        return len(self.inventory.images) + self.inventory.images_left_out if self.inventory else 0

    @property
    def known(self) -> bool:
        """Whether it has any retained topic. A host whose topics were all cleared is no longer listed."""
        return bool(self.status or self.info or self.inventory or self.alerts)


@dataclass(frozen=True, slots=True)
class DecisionLine:
    """One eviction decision of one host, with its outcome if that is known."""

    host: str
    decision: payloads.LastDecision  # its reason is "" if only the outcome was received


class FleetView:
    """All hosts below one prefix. `apply` adds messages; a repeated message changes nothing."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
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
            self._apply_event(name, payload)
            if name in self._hosts and not retained:
                _see(self._hosts[name], at)
            return
        host = self._hosts.setdefault(name, Host(name))
        _apply_retained(host, rest, payload, at, retained)
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

    def renewed(self) -> "FleetView":
        """A new view with the same events, to be filled again from the retained messages, some of which may be gone."""
        fresh = FleetView(self._prefix)
        fresh._events = self._events.copy()
        return fresh

    def _apply_event(self, name: str, payload: bytes) -> None:
        event = payloads.decode(payloads.Event, payload)
        epoch, seq = (event.data.get("epoch"), event.data.get("seq")) if event else (None, None)
        if event is None or not isinstance(epoch, str) or not isinstance(seq, int):
            return
        self._events.setdefault((name, epoch, seq), (name, event))
        while len(self._events) > MAX_EVENTS:
            self._events.popitem(last=False)


def status_document(view: FleetView, now: datetime) -> dict[str, Any]:
    """The JSON of `fleet status --json`."""
    return {"hosts": [_host_document(host, now) for host in view.hosts()]}


def decisions_document(lines: list[DecisionLine]) -> dict[str, Any]:
    """The JSON of `fleet decisions --json`."""
    return {"decisions": [_line_document(line) for line in lines]}


def images_document(view: FleetView, now: datetime) -> dict[str, Any]:
    """The JSON of `fleet images --json`: all images of all inventories, each with its host and an explanation."""
    return {
        "images": [
            {
                "host": host.name,
                **image.model_dump(mode="json", by_alias=True),
                "explanation": sentence.why(image, now),
            }
            for host in view.hosts()
            for image in (host.inventory.images if host.inventory else ())
        ],
        "images_left_out": sum(host.inventory.images_left_out for host in view.hosts() if host.inventory),
    }


def _host_document(host: Host, now: datetime) -> dict[str, Any]:
    disk = host.inventory.disk if host.inventory else payloads.Disk()
    return {
        "host": host.name,
        "state": host.state(now),
        "last_seen": units.format_time(host.last_seen) if host.last_seen else None,
        "images": host.images,
        "disk_used_bytes": disk.used_bytes,
        "disk_total_bytes": disk.total_bytes,
        "reclaimable_bytes": disk.reclaimable_bytes,
        "mode": host.info.mode if host.info else None,
        "version": host.info.version if host.info else None,
        "alerts": [alert.model_dump(mode="json") for _, alert in sorted(host.alerts.items())],
    }


def _line_document(line: DecisionLine) -> dict[str, Any]:
    return {"host": line.host, **line.decision.model_dump(mode="json")}


def _see(host: Host, at: datetime) -> None:
    host.last_seen = max(at, host.last_seen) if host.last_seen else at


def _apply_retained(host: Host, rest: str, payload: bytes, at: datetime, retained: bool) -> None:
    """Apply one retained topic of a host. An empty payload clears it, and an invalid one changes nothing."""
    own_time: datetime | None = None
    if rest == "status":
        own_time = _apply_status(host, payload, at, retained)
    elif rest == "info":
        info = payloads.decode(payloads.Info, payload)
        host.info = info if info or not payload else host.info
        own_time = info.at if info else None
    elif rest == "inventory":
        inventory = payloads.decode(payloads.Inventory, payload)
        host.inventory = inventory if inventory or not payload else host.inventory
        own_time = inventory.at if inventory else None
    elif rest.startswith("alerts/"):
        _apply_alert(host, rest.removeprefix("alerts/"), payload)
    if own_time is not None:
        _see(host, min(own_time, at) if retained else at)


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
