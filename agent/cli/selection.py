"""Which images `plan` and `images` list, in which order, and their names alone."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from agent.core import text
from agent.core.policy.decision import Action, Decision, Plan, Reason
from agent.core.protocol import inventory

_LAST = datetime.max.replace(tzinfo=UTC)


class Sort(StrEnum):
    DUE = "due"  # the earliest first; what is never due comes last
    NAME = "name"
    SIZE = "size"  # the largest first
    IDLE = "idle"  # the longest idle first
    REASON = "reason"  # in the order in which the reasons are checked


AllOption = Annotated[bool, typer.Option("--all", "-a", help="Show untagged intermediate images, too.")]
EvictOption = Annotated[bool, typer.Option("--evict", help="Show only images that would be removed.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print only names, one on each line.")]
SortOption = Annotated[
    Sort | None,
    typer.Option(
        "--sort",
        metavar="ORDER",
        help="Order: due (the earliest first), name, size (the largest first), idle (the longest first) or reason.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What the options of one command ask for."""

    show_all: bool = False
    evict: bool = False  # only what would be removed
    sort: Sort | None = None  # None: PyTorch images first, what would be removed before what is kept

    def of(self, seen: Plan) -> list[Decision]:
        """The decisions to show, in their order."""
        ranked = sorted(seen.decisions, key=inventory.rank)
        chosen = [item for item in ranked if self._shows(item)]
        return chosen if self.sort is None else sorted(chosen, key=_KEYS[self.sort])

    def _shows(self, item: Decision) -> bool:
        if self.evict and item.action is not Action.EVICT:
            return False
        return self.show_all or not item.image.untagged


def names_of(item: Decision) -> tuple[str, ...]:
    """What an image is called: its tags, else its digest references, else its ID. Safe to print."""
    names = item.image.references or item.image.digests
    return tuple(text.one_line(name) for name in names) or (f"untagged {item.image.id[7:19]}",)


def quiet_names(items: Iterable[Decision]) -> Sequence[str]:
    """Every name of every image, for other programs; the full ID of an image without a name."""
    return [
        text.one_line(name)
        for item in items
        for name in (item.image.references or item.image.digests or (item.image.id,))
    ]


_ORDER = {reason: number for number, reason in enumerate(Reason)}
_KEYS: dict[Sort, Callable[[Decision], tuple[object, ...]]] = {
    Sort.DUE: lambda item: (item.due or _LAST,),
    Sort.NAME: lambda item: (item.image.untagged, names_of(item)),
    Sort.SIZE: lambda item: (-item.image.size_bytes,),
    Sort.IDLE: lambda item: (item.idle_since or _LAST,),
    Sort.REASON: lambda item: (_ORDER[item.reason],),
}
