"""The documents of the API, as models: the routes answer with them, and the OpenAPI document is made from them.

Times are RFC 3339 in UTC. A figure that is not known is null, never 0.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agent.core.protocol import payloads
from agent.core.protocol.payloads import Time
from agent.fleet.live.row import State

_INCOMPLETE = "hosts whose last images have arrived and are not stored yet; in lists of images they are as before"


class Document(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)


class Alert(Document):
    """An alert of one host, standing if it has no `until`."""

    host: str
    id: str
    severity: Literal["warning", "critical"]
    message: str
    since: Time
    until: Time | None = None


class Decision(Document):
    """One decision to evict, with its outcome if that has arrived. `id` is the order of arrival at the monitor.

    A decision whose outcome alone has arrived has the reason "".
    """

    id: int
    host: str
    decision_id: str
    at: Time
    image_id: str
    references: list[str]
    reason: str
    mode: str
    held_by: str | None
    explanation: str
    estimated_bytes: int
    outcome: str | None
    outcome_at: Time | None
    measured_bytes: int | None
    error: str | None
    also_removed: list[str]
    last_used: Time | None
    last_used_by: str
    idle_seconds: float | None
    ttl_seconds: float | None
    evidence: list[str]
    pull: str | None = Field(description="the command that brings the image back; null without a known digest")
    regret_at: Time | None = Field(description="when the image came back before its TTL would have passed")


class Decisions(Document):
    decisions: list[Decision]  # newest first
    next: str | None  # `after` of the next page


class LastDecision(Document):
    at: Time
    outcome: str | None


class Host(Document):
    """One host, with the fields of `fleet status --json`."""

    host: str
    state: State
    mode: str | None
    paused: bool | None
    version: str | None
    last_seen: Time | None
    images: int | None
    images_left_out: int
    disk_used_bytes: int | None
    disk_total_bytes: int | None
    high: float | None
    reclaimable_bytes: int | None
    next_eviction: Time | None
    last_decision: LastDecision | None
    freed_24h_bytes: int
    regrets_30d: int
    alerts: list[Alert]


class Totals(Document):
    hosts: dict[State, int]
    images: int
    disk_used_bytes: int  # without hosts that are offline, as all sums
    disk_total_bytes: int
    reclaimable_bytes: int
    alerts: int
    critical_alerts: int


class Hosts(Document):
    at: str  # a position of /api/stream
    hosts: list[Host]
    totals: Totals
    next: str | None


class HostColumns(Document):
    """`/api/hosts?format=columns`: each host is a list in the order of `columns`; times are milliseconds since 1970."""

    at: str
    columns: list[str]
    hosts: list[list[Any]]


class Held(Document):
    """The images of a host that one reason keeps."""

    reason: str
    words: str = Field(description="the reason in words, like `are in use`")
    images: int
    bytes: int
    way_out: str = Field(description='what a person can do about it; "" where nothing is to be done')


class Stream(Document):
    """The events of one life of a host's state. `missing`: numbers that have not arrived, both ends included."""

    epoch: str
    contiguous: int
    missing: list[tuple[int, int]]


class HostImage(payloads.InventoryImage):
    """An image of a host: as in its inventory, always with its sentence, and with the other hosts that have it."""

    elsewhere: int


class AgentInfo(Document):
    """What the agent of a host said of itself and its engine, and the policy in force there."""

    version: str
    agent_id: str | None
    mode: str | None
    engine: dict[str, str]
    policy: dict[str, Any]
    started: Time | None
    state_since: Time | None = Field(description="since when the host is online or offline")
    first_seen: Time = Field(description="when the monitor first saw the host")


class HostDetail(Document):
    host: Host
    info: AgentInfo | None
    incomplete: bool = Field(False, description="newer images have arrived and are not stored yet")
    images: list[HostImage]
    alerts: list[Alert]
    held: list[Held]  # most bytes first
    streams: list[Stream]


class ImageSummary(Document):
    """One image ID on all hosts that have it."""

    id: str
    references: list[str]
    torch_version: str | None
    accelerator: str | None
    size_bytes: int
    hosts: int
    in_use: int
    last_used: Time | None
    estimated_bytes: int
    local_only: int  # on how many hosts it may exist nowhere else
    regrets_90d: int


class Images(Document):
    images: list[ImageSummary]
    incomplete_hosts: int = Field(0, description=_INCOMPLETE)
    next: str | None


class ImageOnHost(Document):
    host: str
    references: list[str]
    action: str
    reason: str
    held_by: str | None
    explanation: str
    last_used: Time | None
    last_used_by: str
    idle_since: Time | None
    deadline: Time | None
    estimated_bytes: int


class ImageDetail(Document):
    image: ImageSummary
    incomplete_hosts: int = Field(0, description=_INCOMPLETE)
    pull: str | None
    hosts: list[ImageOnHost]
    decisions: list[Decision]


class Reclaimed(Document):
    """What was freed in 30 days. `estimated_bytes` are of evictions whose bytes the host could not measure."""

    measured_bytes: int
    estimated_bytes: int
    evicted: int
    would_evict: int  # in observe mode
    regrets: int


class Blocked(Document):
    """A host that is full while nothing may be evicted."""

    host: str
    message: str
    since: Time
    held: list[Held]


class Monitor(Document):
    """The monitor itself: its broker, as an agent would be configured for it, and what waits to be stored."""

    broker: Literal["connected", "connecting", "unreachable"]
    broker_url: str
    prefix: str
    collector: str
    behind_events: int
    last_commit: Time | None


class Overview(Document):
    """The figures above the list of hosts. Sums are without hosts that are offline."""

    at: Time
    hosts: dict[State, int]
    observing: int
    paused: int
    reclaimed: Reclaimed
    reclaimable_bytes: int
    reclaimable_hosts: int
    over_high: int
    high: str = Field(description="the limit that `over_high` means, like `by their policy`")
    alerts: int
    critical_alerts: dict[str, int]  # by alert ID
    blocked: list[Blocked]
    decisions: list[Decision]  # the last 60
    missing_events: int
    dropped_events: int
    monitor: Monitor | None = None


class Series(Document):
    """Columns of equal length, as uPlot takes them. `at`: seconds since 1970; for kind=idle hours of idle time."""

    at: list[float]
    series: dict[str, list[float | None]]


class Alerts(Document):
    alerts: list[Alert]
    next: str | None


class PolicyInForce(Document):
    digest: str
    policy: dict[str, Any]
    hosts: int
    example: str  # one of the hosts


class Policies(Document):
    policies: list[PolicyInForce]  # most hosts first


class WhatIfHost(Document):
    host: str
    images: int
    bytes: int
    disk_used_bytes: int | None
    disk_total_bytes: int | None


class WhatIf(Document):
    """What another TTL would evict now. At least: a layer that several of the images share counts for none."""

    ttl_seconds: float
    at: Time
    images: int
    bytes: int
    hosts_with: int
    offline_left_out: int
    incomplete_hosts: int = Field(0, description=_INCOMPLETE)
    idle_spells: int = Field(description="idle spells of the last 90 days that were longer than this TTL")
    ended_with_use: int = Field(description="those of them that ended with a use before the present TTL")
    hosts: list[WhatIfHost]  # most bytes first, at most 1,000


class HistoryEvent(Document):
    """A gap, a dropped range, a sweep or a prune of build cache. `data`: the columns of its table."""

    host: str
    kind: Literal["gap", "dropped", "sweep", "build-cache"]
    at: Time
    data: dict[str, Any]


class HistoryEvents(Document):
    events: list[HistoryEvent]
    next: str | None


class Me(Document):
    user: str | None
    role: Literal["viewer", "operator"]
    actions: bool


class Version(Document):
    version: str


class Health(Document):
    """`unreachable`: without a broker for a minute or longer. `error`: what does not work now, and why."""

    broker: Literal["connected", "connecting", "unreachable"]
    behind_events: int
    incomplete_hosts: int = Field(0, description=_INCOMPLETE)
    last_commit: Time | None
    database: Literal["working", "failing"] = "working"
    error: str | None = None


class Problem(Document):
    """An error, as RFC 9457 describes it (application/problem+json)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
