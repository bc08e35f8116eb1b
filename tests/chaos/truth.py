"""What the driver knows for certain: which container held which image when, and which tags it was promised."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

Span = tuple[datetime, datetime]


def now() -> datetime:
    return datetime.now(UTC)


def known(time_ns: int) -> datetime:
    """A time of the engine's."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_ns // 1000)


@dataclass(slots=True)
class Made:
    """An image that the engine said it has. `tags` are those whose tagging it acknowledged."""

    id: str
    kind: str  # idle, used, postgres
    tags: set[str] = field(default_factory=set)
    missed: bool = False  # the engine said that it is gone


@dataclass(slots=True)
class Box:
    """A container of the driver's. It holds its image from `made` until `let_go`, whatever is killed meanwhile."""

    name: str
    image: str
    made: datetime | None = None  # when its create was acknowledged
    let_go: datetime | None = None  # when the driver began to remove it
    gone: datetime | None = None  # when the engine said that it is gone
    uses: list[Span] = field(default_factory=list)  # (asked, acknowledged) of create, start and removal

    def holds(self, span: Span) -> bool:
        """Whether it held its image all through a span."""
        start, end = span
        return self.made is not None and self.made < start and (self.let_go is None or self.let_go > end)


@dataclass(slots=True)
class Truth:
    """Images and containers of one run, and what was seen to go wrong while it ran."""

    images: dict[str, Made] = field(default_factory=dict)
    boxes: list[Box] = field(default_factory=list)
    deleted: dict[str, datetime] = field(default_factory=dict)  # image ID -> when the engine told of its end
    faults: list[str] = field(default_factory=list)
    turned_down: int = 0  # creates that the engine refused

    def boxes_of(self, image: str) -> list[Box]:
        return [box for box in self.boxes if box.image == image]

    def uses_of(self, image: str) -> list[Span]:
        return [use for box in self.boxes_of(image) for use in box.uses]

    def held_now(self) -> set[str]:
        return {box.image for box in self.boxes if box.made and not box.gone}
