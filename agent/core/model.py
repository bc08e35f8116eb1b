"""The facts: images, containers, usage, evidence and verdicts. All are frozen; times are aware and in UTC."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from agent.core import globs

RUNNING = ("running", "paused", "restarting")  # states in which a container is in use now


@dataclass(frozen=True, slots=True)
class HistoryStep:
    """One line of an image's build history, which begins with the lines of the base image."""

    created_by: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """The data of an image from inspect and history, which never changes for an image ID."""

    layers: tuple[str, ...] = ()  # diff IDs, base first
    parent: str = ""  # the image that it was built on; recorded by the classic builder only
    created: datetime | None = None  # build time; never counts as a use
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    history: tuple[HistoryStep, ...] = ()
    packed_bytes: int | None = 0  # compressed layers in the containerd store; None if it does not report them
    left_out: tuple[str, ...] = ()  # the parts that were too long to read, for people (`bounds.bounded`)
    committed: bool = False  # made by `docker commit`, or possibly so; it may be the only copy


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image as the engine lists it."""

    id: str  # the full ID with its algorithm: "sha256:..."
    references: tuple[str, ...] = ()  # its tags in the familiar form "repository:tag", sorted
    digests: tuple[str, ...] = ()  # "repository@sha256:..."
    origin: str | None = None  # a digest reference by which it can be pulled again; None if none is known
    size_bytes: int = 0
    details: Details | None = None  # None if the inspect failed; then it is unknown and kept
    unreadable: str = ""  # why the engine's data about it cannot be read; then it has no details

    @property
    def untagged(self) -> bool:
        """Whether it has neither a tag nor a digest reference."""
        return not self.references and not self.digests

    @property
    def all_references(self) -> tuple[str, ...]:
        """Its tags and its digest references."""
        return *self.references, *self.digests

    @property
    def standalone(self) -> tuple[str, ...]:
        """Its references, except digest references that only repeat a tag."""
        return globs.standalone(self.all_references)

    @property
    def dangling(self) -> bool:
        """Whether `cleanup.dangling_after` applies: it is untagged, and `docker commit` did not make it."""
        return self.untagged and self.details is not None and not self.details.committed

    @property
    def parent(self) -> str:
        """The image that it was built on, as recorded by the classic builder; "" if unknown."""
        return self.details.parent if self.details is not None else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One container in any state. Its image is in use for as long as it exists."""

    id: str
    image_id: str
    name: str = ""
    state: str = "exited"  # created, running, paused, restarting, removing, exited, dead
    last_active: datetime | None = None  # the end of its last run, else its start or creation
    image_mounts: tuple[str, ...] = ()  # images mounted with type=image: by ID, or as its creator wrote them
    image: str = ""  # as its creator wrote it
    labels: Mapping[str, str] = field(default_factory=dict, compare=False)
    by: str = ""  # its name, Compose project and user, for people
    ignored: bool = False  # its runs do not count as uses, like those of a scanner; it still keeps its image

    @property
    def running(self) -> bool:
        return self.state in RUNNING


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All images and containers of one engine, as listed at one time."""

    at: datetime
    images: tuple[Image, ...] = ()
    containers: tuple[Container, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The recorded usage of one image on this host."""

    image_id: str
    first_seen: datetime
    arrived: datetime | None = None  # pull, load, import or tag by others than the agent
    last_used: datetime | None = None
    last_used_by: str = ""  # the container of the last use
    released: datetime | None = None  # when the last protection ended
    protected: bool = False  # whether anything protected it at the last check
    references: tuple[str, ...] = ()  # tags and digest references as last seen, sorted
    references_changed: datetime | None = None  # when a tag, or a digest reference without one, was added or removed
    pulled: bool = False  # whether the agent has seen it being pulled
    present: bool = True  # whether it existed at the last listing


class Class(StrEnum):
    PYTORCH = "pytorch"
    AMBIGUOUS = "ambiguous"
    OTHER = "other"


class Strength(StrEnum):
    STRONG = "strong"
    MEDIUM = "medium"
    WEAK = "weak"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One sign that an image is, or is not clearly, a PyTorch image."""

    kind: str  # env, label, history, repository, entrypoint, lineage, name, known, layers
    strength: Strength
    text: str  # for people: 'ENV PYTORCH_VERSION=2.9.0'
    fact: str = ""  # the fact behind it: vLLM's variable and its program are one fact; "" if it is its own fact

    @property
    def rests_on(self) -> str:
        return self.fact or self.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an image is, with the evidence for it."""

    kind: Class
    evidence: tuple[Evidence, ...] = ()
    torch_version: str | None = None  # "2.9.0"; None if unknown
    accelerator: str | None = None  # "cuda11.8", "rocm6.1", "cpu"; None if unknown
    history_version: str | None = None  # the torch that the build history installed
    history_accelerator: str | None = None
    left_out: tuple[str, ...] = ()  # the parts that were too long to read; then it is at most ambiguous
    failure: str = ""  # why it could not be judged; then it is unknown and kept
