"""A place in the sequence of changes, from which a viewer continues."""

import re
from dataclasses import dataclass

_TEXT = re.compile(r"([0-9A-Za-z]{1,32})\.([0-9]{1,15})\.([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Position:
    """What a viewer has: the changes of one run of the monitor up to a tick, and decisions up to a row.

    `boot` is random for each run. Ticks are counted in it; rows of decisions are counted for ever.
    """

    boot: str
    tick: int
    decision: int

    def __str__(self) -> str:
        return f"{self.boot}.{self.tick}.{self.decision}"

    @classmethod
    def parse(cls, text: str) -> "Position | None":
        """The position that was written as text; None for any other text."""
        match = _TEXT.fullmatch(text)
        return cls(match[1], int(match[2]), int(match[3])) if match else None
