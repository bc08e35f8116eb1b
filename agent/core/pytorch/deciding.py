"""Which signs decide a verdict, for a person who doubts it."""

from agent.core.model import Class, Evidence, Strength, Verdict
from agent.core.pytorch import operators
from agent.core.pytorch.signs import independent

# Of several strong signs people are shown what the image itself says: anybody can give it a name.
_FAMILIES = ("env", "label", "history")
_STRENGTHS = tuple(Strength)
_NAMED = ("repository ", "name ")


def deciding(verdict: Verdict) -> tuple[Evidence, ...]:
    """The strongest sign; of medium ones the two that decide together; () where there is none."""
    first = min(verdict.evidence, key=_rank, default=None)
    if first is None:
        return ()
    if verdict.kind is Class.PYTORCH and first.strength is Strength.MEDIUM:
        return independent(verdict.evidence) or (first,)
    return (first,)


def phrase(verdict: Verdict) -> str:
    """The deciding signs for people: `named pytorch/pytorch`, `history: pip install torch==2.9`; "" for none."""
    return " and ".join(_shown(sign) for sign in deciding(verdict))


def single(verdict: Verdict) -> bool:
    """Whether `pytorch` rests on one sign and nothing else, which the operator has not listed.

    Somebody has looked at what images.known lists.
    """
    signs = verdict.evidence
    return verdict.kind is Class.PYTORCH and len(signs) == 1 and signs[0].kind != operators.FAMILY


def _rank(sign: Evidence) -> tuple[int, int]:
    family = _FAMILIES.index(sign.kind) if sign.kind in _FAMILIES else len(_FAMILIES)
    return _STRENGTHS.index(sign.strength), family


def _shown(sign: Evidence) -> str:
    for word in _NAMED:
        if sign.text.startswith(word):
            return "named " + sign.text.removeprefix(word).partition(", ")[0]
    return sign.text
