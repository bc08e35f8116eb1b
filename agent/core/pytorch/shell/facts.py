"""What is known about torch at one point of a build, and what is still certain after two branches join."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple


class Install(NamedTuple):
    """One command that installs torch, and the place where it installs it."""

    text: str  # "pip install torch==2.9.0"
    place: str = ""  # a folder or `conda:NAME`; "" for the Python that is first in PATH
    is_sure: bool = True  # whether the command certainly ran, and its torch is certainly still there


INDEX = "download.pytorch.org"  # the address of PyTorch's own wheels; also the hint that a command uses it
PLACED = "in "  # the kind of a hint about one place begins with this: "in /opt/venv"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the commands that ran show about torch."""

    installs: tuple[Install, ...] = ()
    is_sure: bool = False  # whether the torch of at least one of them is certainly there
    version: str | None = None
    accelerator: str | None = None
    hints: Mapping[str, str] = field(default_factory=dict)  # kind -> a weaker sign
    doubts: Mapping[str, str] = field(default_factory=dict)  # kind -> a weaker sign that may not be true
    is_removed: bool = False  # whether torch was removed, or may have been, after its installation

    @property
    def placed(self) -> tuple[Install, ...]:
        """Everything that a removal may remove: the torch of each installation and of each hint about a place."""
        if not self.hints:
            return self.installs
        return (*self.installs, *(_hinted(*hint) for hint in self.hints.items() if hint[0].startswith(PLACED)))

    def with_install(self, text: str, place: str, version: str | None, accelerator: str | None) -> "Facts":
        """The facts after a command has installed torch."""
        return replace(
            self,
            installs=(*(one for one in self.installs if (one.text, one.place) != (text, place)), Install(text, place))[
                -20:
            ],
            is_sure=True,
            version=version or self.version,
            accelerator=accelerator or self.accelerator,
            is_removed=False,
        )

    def with_hints(self, hints: Mapping[str, str]) -> "Facts":
        """The facts with more hints. A new hint replaces an older one of its kind."""
        return replace(self, hints={**self.hints, **hints}) if hints else self

    def without(self, is_gone: Callable[[Install], bool | None]) -> "Facts":
        """The facts after a removal. An installation or hint that may have been removed becomes uncertain.

        `is_gone` returns whether the removal removes an installation; None if it is unknown.
        """
        doubted = {
            kind: text
            for kind, text in self.hints.items()
            if kind.startswith(PLACED) and is_gone(_hinted(kind, text)) is not False
        }
        if doubted:
            left_hints = {kind: text for kind, text in self.hints.items() if kind not in doubted}
            return replace(self, hints=left_hints, doubts={**self.doubts, **doubted}).without(is_gone)
        kept: list[Install] = []
        for one in self.installs:
            gone = is_gone(one)
            if not gone:
                kept.append(one if gone is False else one._replace(is_sure=False))
        if tuple(kept) == self.installs:
            return self
        left = tuple(kept)
        if not left:
            return Facts(is_removed=True)
        return replace(self, installs=left, is_sure=any(one.is_sure for one in left), is_removed=True)

    def in_doubt(self) -> "Facts":
        """The facts, given that everything may have been removed."""
        return self.without(lambda _: None)

    def doubtful(self) -> "Facts":
        """The facts, given that none of the commands certainly ran."""
        return join(self, NOTHING)


NOTHING = Facts()


def _hinted(kind: str, text: str) -> Install:
    return Install(text, kind.removeprefix(PLACED))


def join(one: Facts, other: Facts) -> Facts:
    """The facts after either of two branches: certain only if certain in both."""
    if one is other:
        return one
    hints = {kind: text for kind, text in one.hints.items() if kind in other.hints}
    doubts = {**one.doubts, **other.doubts}
    for side in (one, other):
        doubts |= {kind: text for kind, text in side.hints.items() if kind not in hints}
    return Facts(
        installs=_joined(one.installs, other.installs),
        is_sure=one.is_sure and other.is_sure,
        version=one.version if one.version == other.version else None,
        accelerator=one.accelerator if one.accelerator == other.accelerator else None,
        hints=hints,
        doubts=doubts,
        is_removed=one.is_removed or other.is_removed,
    )


def _joined(one: tuple[Install, ...], other: tuple[Install, ...]) -> tuple[Install, ...]:
    if one == other:
        return one
    merged: dict[tuple[str, str], Install] = {}
    for install in (*one, *other):
        is_sure = install.is_sure and install in one and install in other
        merged[install.text, install.place] = install._replace(is_sure=is_sure)
    return tuple(merged.values())[-20:]
