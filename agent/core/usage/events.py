"""The engine's events, in the form that the core uses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

USES = ("create", "start", "die", "destroy")  # container actions that are uses
IMAGE_ACTIONS = ("tag", "untag", "delete", "pull", "load", "import", "create")
COMMIT = "commit"  # a container action that makes an image

Key = tuple[int, str, str, str]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class EngineEvent:
    """One row of `/events`, with only the fields that have the same meaning in every API version."""

    time_ns: int  # nanoseconds since 1970, by the engine's clock
    kind: str  # "container" or "image"
    action: str
    actor: str  # the container's or image's ID; for a pull the reference
    image: str = ""  # containers: the image as the client wrote it, which may be a name or an ID
    name: str = ""  # containers: the name; tag and untag: the reference
    labels: Mapping[str, str] = field(default_factory=dict, compare=False)  # containers: the labels

    @property
    def at(self) -> datetime:
        return _EPOCH + timedelta(microseconds=self.time_ns // 1000)

    @property
    def key(self) -> Key:
        """The identity of an event, which is the same for its replay."""
        return self.time_ns, self.kind, self.action, self.actor
