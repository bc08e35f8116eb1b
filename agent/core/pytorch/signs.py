"""One sign that an image is, or is not clearly, a PyTorch image. It stands apart, for it takes no list to be loaded."""

from collections.abc import Iterable
from itertools import combinations

from agent.core import model

_LONGEST_TEXT = 80  # characters


def sign(family: str, strength: model.Strength, text: str, fact: str = "") -> model.Evidence:
    """Evidence with its text made fit for people: one line, printable, about 80 characters."""
    line = text[: 4 * _LONGEST_TEXT]
    if not line.isprintable():
        line = "".join(char if char.isprintable() else " " for char in line)
    line = " ".join(line.split())
    shown = line if len(line) <= _LONGEST_TEXT else line[: _LONGEST_TEXT - 1] + "…"
    return model.Evidence(family, strength, shown, fact)


def independent(signs: Iterable[model.Evidence]) -> tuple[model.Evidence, ...]:
    """The first two medium signs that rest on different facts and are of different families; () where none do."""
    medium = [one for one in signs if one.strength is model.Strength.MEDIUM]
    return next((pair for pair in combinations(medium, 2) if _differ(*pair)), ())


def _differ(one: model.Evidence, other: model.Evidence) -> bool:
    return one.kind != other.kind and one.rests_on != other.rests_on
