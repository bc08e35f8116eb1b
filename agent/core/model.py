"""The facts: images, containers, usage, evidence, verdicts. Frozen; times are aware and in UTC."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from agent.core import globs

RUNNING = ("running", "paused", "restarting")  # states of a container that is used now


@dataclass(frozen=True, slots=True)
class HistoryStep:
    """One line of an image's build history; the base image's come first."""

    created_by: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What inspect and history say of an image. It never changes for a given image ID."""

    layers: tuple[str, ...] = ()  # diff IDs, base first
    parent: str = ""  # the image it was built on, by the classic builder only
    created: datetime | None = None  # build time; never a last use
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    history: tuple[HistoryStep, ...] = ()
    packed_bytes: int | None = 0  # compressed layers that the store keeps besides; None: it does not report them
    left_out: tuple[str, ...] = ()  # what of it was too long to read, in words (`bounds.bounded`)
    committed: bool = False  # made by `docker commit`, as far as anybody can tell: it may exist nowhere else


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image as the engine lists it now."""

    id: str  # full, with its algorithm: "sha256:..."
    references: tuple[str, ...] = ()  # its tags: "repository:tag", familiar form, sorted
    digests: tuple[str, ...] = ()  # "repository@sha256:..."
    origin: str | None = None  # a digest reference it can be pulled again by; None: nothing proves one
    size_bytes: int = 0
    details: Details | None = None  # None: the inspect failed, so it is unknown, and kept
    unreadable: str = ""  # why what the engine says of it cannot be read; then it has no details

    @property
    def untagged(self) -> bool:
        """Whether no name at all means it, by tag or digest."""
        return not self.references and not self.digests

    @property
    def all_references(self) -> tuple[str, ...]:
        """Its tags and its digest references."""
        return *self.references, *self.digests

    @property
    def standalone(self) -> tuple[str, ...]:
        """Its references without the digest references that only repeat a tag."""
        return globs.standalone(self.all_references)

    @property
    def dangling(self) -> bool:
        """Whether `cleanup.dangling_after` is about it: nothing names it, and `docker commit` did not make it."""
        return self.untagged and self.details is not None and not self.details.committed

    @property
    def parent(self) -> str:
        """The image that it was built on, by the classic builder; "" where none is known."""
        return self.details.parent if self.details is not None else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One container, in any state: it holds its image for as long as it exists."""

    id: str
    image_id: str
    name: str = ""
    state: str = "exited"  # created, running, paused, restarting, removing, exited, dead
    last_active: datetime | None = None  # the end of its last run, else its start or creation
    image_mounts: tuple[str, ...] = ()  # images mounted with type=image: by ID, or as whoever made it named them
    image: str = ""  # as whoever made it named it
    labels: Mapping[str, str] = field(default_factory=dict, compare=False)
    by: str = ""  # who that is, for people: its name, Compose project and user
    ignored: bool = False  # it holds its image and is no use of it: a scanner's

    @property
    def running(self) -> bool:
        return self.state in RUNNING


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All images and all containers of one engine, as listed at one time."""

    at: datetime
    images: tuple[Image, ...] = ()
    containers: tuple[Container, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the agent knows of the life of one image on this host."""

    image_id: str
    first_seen: datetime
    arrived: datetime | None = None  # pull, load, import or tag by others than the agent
    last_used: datetime | None = None
    last_used_by: str = ""  # the container of the last use
    released: datetime | None = None  # when the last protection ended
    protected: bool = False  # whether a protection held it when last asked
    references: tuple[str, ...] = ()  # tags and digest references as last seen, sorted
    references_changed: datetime | None = None  # when a tag, or a digest reference without one, came or went
    pulled: bool = False  # the agent itself saw it pulled
    present: bool = True  # whether it was there when last listed


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
    fact: str = ""  # what it rests on: vLLM's variable and its program are one fact; "": on nothing that another tells

    @property
    def rests_on(self) -> str:
        return self.fact or self.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an image is, and on what evidence."""

    kind: Class
    evidence: tuple[Evidence, ...] = ()
    torch_version: str | None = None  # "2.9.0"; None: not told
    accelerator: str | None = None  # "cuda11.8", "rocm6.1", "cpu"; None: not told
    history_version: str | None = None  # the torch that the build history installed
    history_accelerator: str | None = None
    left_out: tuple[str, ...] = ()  # what of it was too long to read; then it is never surely PyTorch
    failure: str = ""  # why it could not be judged; then it is unknown, and kept
