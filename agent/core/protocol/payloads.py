"""The versioned payloads that agents and collectors exchange over MQTT.

Every payload has its ids, epoch and seq in its body, as MQTT 3.1.1 has no message properties.
Unknown fields of received payloads are ignored, so that an older monitor can watch a newer agent.
A payload may be zlib-compressed: JSON begins with `{`, zlib with 0x78.
"""

import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer, ValidationError

from agent.core import units
from agent.core.policy.decision import Mode, Outcome

MAX_PAYLOAD = 1_000_000  # bytes; half of the default limit of mosquitto 2.1
MAX_UNPACKED = 4 * MAX_PAYLOAD  # bytes of a decompressed payload: zlib can expand one a thousand times
LAST_DECISIONS = 20  # decisions carried by the inventory

Time = Annotated[AwareDatetime, PlainSerializer(units.format_time, return_type=str, when_used="json")]


class Payload(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    def encode(self) -> bytes:
        return self.model_dump_json().encode()


P = TypeVar("P", bound=Payload)


class Status(Payload):
    """`status`, retained, and the will. `session` differs at each connection; compare it for equality only."""

    state: Literal["online", "offline"]
    session: int
    at: Time
    agent_id: str = ""  # distinguishes two agents with the same host name


class Pause(Payload):
    """The pause of a host: nothing is evicted there until it ends. `until`: None for one that somebody must end."""

    until: Time | None
    reason: str


class Info(Payload):
    """`info`, retained: the agent, its engine and its policy. Contains no secrets."""

    host: str
    version: str
    engine: dict[str, str]  # id, name, version, api_version, driver, root
    agent_id: str
    epoch: str
    mode: Mode
    paused: Pause | None = None
    policy: dict[str, Any]
    started: Time
    at: Time

    def is_paused(self, now: datetime) -> bool | None:
        """Whether the host is paused. None if it does not report that, as an older agent."""
        if "paused" not in self.model_fields_set:
            return None
        return self.paused is not None and (self.paused.until is None or now < self.paused.until)


class ImageRef(Payload):
    """The image a decision or an outcome is about."""

    id: str
    references: list[str]
    size_bytes: int
    torch_version: str | None = None
    accelerator: str | None = None
    origin: str | None = None  # the digest reference to pull it again by


class EventData(Payload):
    """The data of one type of event. `event` adds `epoch` and `seq` to it.

    A new type of event is one subclass: EVENT_DATA is built from them.
    """

    type: ClassVar[str]  # of the event, as it is published and stored
    never_given_up: ClassVar[bool] = False  # the event log keeps it until it is delivered, regardless of size limits

    def stored(self) -> dict[str, Any]:
        """The data as the event log stores it. Only events that are sent shortened have the field `shortened`."""
        return self.model_dump(mode="json", exclude={"shortened"})


class DecisionData(EventData):
    """A decision. It is on disk before the eviction begins."""

    type: ClassVar[str] = "torchkeeper.decision"
    never_given_up: ClassVar[bool] = True

    decision_id: str
    action: str
    reason: str
    mode: Mode
    held_by: str | None = None
    explanation: str
    image: ImageRef
    last_used: Time | None
    last_used_by: str = ""
    idle_since: Time | None = None
    idle_seconds: float
    ttl_seconds: float
    estimated_bytes: int
    evidence: list[str]
    shortened: bool = False  # the broker rejected the whole event, so texts and references were left out


class OutcomeData(EventData):
    """The outcome of a decision. `measured_bytes` is None if nothing was removed or the disk is not visible.

    `also_removed`: the names, digests and image IDs of anything else that the engine removed.
    """

    type: ClassVar[str] = "torchkeeper.outcome"
    never_given_up: ClassVar[bool] = True

    decision_id: str
    outcome: Outcome
    image: ImageRef
    measured_bytes: int | None
    error: str | None
    also_removed: list[str] = []
    shortened: bool = False  # as in a decision


class SweepData(EventData):
    """One sweep that decided something, with the number of images by reason after it.

    `estimated_bytes`: the space that all evictions due before it would free.
    """

    type: ClassVar[str] = "torchkeeper.sweep"

    mode: Mode
    reasons: dict[str, int]
    outcomes: dict[str, int]
    estimated_bytes: int
    measured_bytes: int | None


class GapData(EventData):
    """Time in which uses may have gone unseen."""

    type: ClassVar[str] = "torchkeeper.gap"

    since: Time
    until: Time
    seconds: float
    cause: str


BuildCacheState = Literal["decided", "pruned", "failed", "would-prune"]


class BuildCacheData(EventData):
    """A prune of build cache records that were unused for long: `decided` before it, then the result."""

    type: ClassVar[str] = "torchkeeper.build-cache"

    mode: Mode
    state: BuildCacheState
    unused_seconds: float  # all records were unused for at least this long
    records: int
    estimated_bytes: int
    measured_bytes: int | None  # as Docker reports it; None: not pruned
    error: str | None


DROPPED_REASONS = ("outbox-full", "retention", "undeliverable", "missing")


class DroppedData(EventData):
    """Events that will never be sent. A collector treats their numbers as received."""

    type: ClassVar[str] = "torchkeeper.dropped"

    first_seq: int
    last_seq: int
    count: int
    reason: str  # one of DROPPED_REASONS
    ranges: list[tuple[int, int]]  # of their numbers, both ends included, ascending; numbers in between do arrive


class Ack(Payload):
    """`control/<host>/ack`, retained: a collector has every event of one epoch up to `seq`, on disk.

    A collector sends it after each commit, even without new events: this shows that the collector is alive.
    """

    collector: str
    epoch: str
    seq: Annotated[int, Field(strict=True, ge=0)]


class CollectorStatus(Payload):
    """`collectors/<id>/status`, retained, and the will. A new `session` requests that agents publish again.

    `session` differs at each connection of the collector; compare it for equality only.
    """

    state: Literal["online", "offline"]
    session: int
    at: Time


class Event(Payload):
    """A CloudEvent in structured JSON. `data` is one of the models above, as its type says."""

    specversion: Literal["1.0"] = "1.0"
    id: str  # "<host>/<epoch>/<seq>"
    source: str  # "torchkeeper/<host>"
    type: str
    time: Time
    subject: str | None = None  # the image ID
    datacontenttype: str = "application/json"
    data: dict[str, Any]


EVENT_DATA: Mapping[str, type[EventData]] = {data.type: data for data in EventData.__subclasses__()}
NEVER_GIVEN_UP = tuple(data.type for data in EVENT_DATA.values() if data.never_given_up)


def data_of(event: Event) -> EventData | None:
    """The data of an event as the model of its type; None for an unknown type or malformed data."""
    model = EVENT_DATA.get(event.type)
    try:
        return model.model_validate(event.data) if model is not None else None
    except ValidationError:
        return None


def event(
    *, host: str, epoch: str, seq: int, kind: str, at: datetime, subject: str | None, data: dict[str, Any]
) -> Event:
    """Build the envelope of an event that has its number. Adds `epoch` and `seq` to `data`."""
    full = {"epoch": epoch, "seq": seq, **data}
    return Event(
        id=f"{host}/{epoch}/{seq}",
        source=f"torchkeeper/{host}",
        type=kind,
        time=at,
        subject=subject,
        data=full,
    )


class Disk(Payload):
    """The file system of the engine's root directory. Its sizes are None if the agent cannot see it."""

    total_bytes: int | None = (
        None  # used and available; without the space reserved for root, as in the percentage of df
    )
    used_bytes: int | None = None
    images_bytes: int = 0  # sum of the listed sizes; a shared layer counts each time
    reclaimable_bytes: int = 0  # the space that all images due now would free together


class InventoryImage(Payload):
    """One image in the inventory. `images --json` has the same fields."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    id: str
    references: list[str]
    action: str
    reason: str
    held_by: str | None = None
    explanation: str = ""  # on MQTT only if `action` is evict; for the others see `sentence.why`
    kind: str = Field(alias="class", serialization_alias="class")
    torch_version: str | None
    accelerator: str | None
    running: bool = False  # a container runs, so it is used now; on MQTT it then has no idle_since and no deadline
    last_used: Time | None  # on MQTT, if `running`: the latest recorded use
    last_used_by: str = ""
    idle_since: Time | None
    deadline: Time | None
    size_bytes: int
    estimated_bytes: int
    warnings: list[str] = []  # what is wrong with its labels, or misleading in its names


class LastDecision(Payload):
    """A decision with its outcome. The inventory has the last LAST_DECISIONS."""

    decision_id: str
    at: Time
    image_id: str
    references: list[str]
    reason: str
    mode: str
    explanation: str
    estimated_bytes: int
    outcome: str | None = None
    measured_bytes: int | None = None
    error: str | None = None

    @classmethod
    def of(cls, data: DecisionData, at: datetime) -> "LastDecision":
        """A decision made at `at`, without an outcome yet."""
        return cls(
            decision_id=data.decision_id,
            at=at,
            image_id=data.image.id,
            references=data.image.references,
            reason=data.reason,
            mode=data.mode,
            explanation=data.explanation,
            estimated_bytes=data.estimated_bytes,
        )

    def with_outcome(self, data: OutcomeData) -> "LastDecision":
        ended = {"outcome": data.outcome.value, "measured_bytes": data.measured_bytes, "error": data.error}
        return self.model_copy(update=ended)


class Inventory(Payload):
    """`inventory`, retained, on change. Images that are not PyTorch come last, and are left out first."""

    host: str
    at: Time
    disk: Disk
    totals: dict[str, int]  # images by reason
    images: list[InventoryImage]
    images_left_out: int = 0  # cut, so that the payload stays below MAX_PAYLOAD
    decisions: list[LastDecision]

    def encode(self) -> bytes:
        return self.model_dump_json(by_alias=True).encode()


class Alert(Payload):
    """`alerts/<id>`, retained while the alert is active; an empty payload clears it."""

    id: str
    severity: Literal["warning", "critical"]
    message: str
    since: Time


def decode(model: type[P], payload: bytes | str) -> P | None:
    """A received payload as its model; None if it is malformed, as anybody can publish anything."""
    try:
        return model.model_validate_json(unpacked(payload) if isinstance(payload, bytes) else payload)
    except (ValidationError, ValueError):
        return None


def packed(payload: bytes) -> bytes:
    """The payload, compressed if that makes it shorter."""
    return min(payload, zlib.compress(payload), key=len)


def unpacked(payload: bytes) -> bytes:
    """The payload, decompressed if it is compressed. Raises ValueError if it is damaged or larger than MAX_UNPACKED."""
    if not payload.startswith(b"\x78"):
        return payload
    unpacking = zlib.decompressobj()
    try:
        text = unpacking.decompress(payload, MAX_UNPACKED)
    except zlib.error as error:
        raise ValueError(f"a payload that cannot be decompressed: {error}") from None
    if not unpacking.eof:
        raise ValueError(f"a payload that is incomplete, or larger than {MAX_UNPACKED} bytes")
    return text
