"""Make and compare signs of PyTorch. This module is separate because it does not load the lists of `entries`."""

from collections.abc import Iterable
from itertools import combinations

from agent.core import model

_LONGEST_TEXT = 80  # characters


def make_evidence(kind: str, strength: model.Strength, text: str, fact: str = "") -> model.Evidence:
    """Evidence whose text is one printable line of at most 80 characters. `fact`: its cause, which others may share."""
    line = text[: 4 * _LONGEST_TEXT]
    if not line.isprintable():
        line = "".join(char if char.isprintable() else " " for char in line)
    line = " ".join(line.split())
    shown = line if len(line) <= _LONGEST_TEXT else line[: _LONGEST_TEXT - 1] + "…"
    return model.Evidence(kind, strength, shown, fact)


def independent(signs: Iterable[model.Evidence]) -> tuple[model.Evidence, ...]:
    """The first two medium signs of different kinds with different causes; () if there are no two."""
    medium = [one for one in signs if one.strength is model.Strength.MEDIUM]
    return next((pair for pair in combinations(medium, 2) if _differ(*pair)), ())


def _differ(one: model.Evidence, other: model.Evidence) -> bool:
    return one.kind != other.kind and one.rests_on != other.rests_on
