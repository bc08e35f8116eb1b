"""Which signs decide a verdict, for a person who doubts it."""

from collections.abc import Iterable, Iterator
from itertools import combinations

from agent.core.model import Class, Evidence, Strength, Verdict

# Of several strong signs people are shown what the image itself says: anybody can give it a name.
_FAMILIES = ("env", "label", "history")
_STRENGTHS = tuple(Strength)
_NAMED = ("repository ", "name ")
_OPERATORS = "known"  # the family of what images.known lists: somebody has looked at it


def deciding(verdict: Verdict) -> tuple[Evidence, ...]:
    """The strongest sign; of medium ones the two that decide together; () where there is none."""
    first = min(verdict.evidence, key=_rank, default=None)
    if first is None:
        return ()
    if verdict.kind is Class.PYTORCH and first.strength is Strength.MEDIUM:
        return next(_independent(verdict.evidence), (first,))
    return (first,)


def phrase(verdict: Verdict) -> str:
    """The deciding signs for people: `named pytorch/pytorch`, `history: pip install torch==2.9`; "" for none."""
    return " and ".join(_shown(sign) for sign in deciding(verdict))


def single(verdict: Verdict) -> bool:
    """Whether `pytorch` rests on one sign and nothing else, which the operator has not listed."""
    signs = verdict.evidence
    return verdict.kind is Class.PYTORCH and len(signs) == 1 and signs[0].family != _OPERATORS


def _rank(sign: Evidence) -> tuple[int, int]:
    family = _FAMILIES.index(sign.family) if sign.family in _FAMILIES else len(_FAMILIES)
    return _STRENGTHS.index(sign.strength), family


def _independent(signs: Iterable[Evidence]) -> Iterator[tuple[Evidence, ...]]:
    medium = [sign for sign in signs if sign.strength is Strength.MEDIUM]
    return (pair for pair in combinations(medium, 2) if _differ(*pair))


def _differ(one: Evidence, other: Evidence) -> bool:
    return one.family != other.family and one.rests_on != other.rests_on


def _shown(sign: Evidence) -> str:
    for word in _NAMED:
        if sign.text.startswith(word):
            return "named " + sign.text.removeprefix(word).partition(", ")[0]
    return sign.text
