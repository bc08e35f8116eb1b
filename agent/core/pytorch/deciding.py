"""The signs that decide a verdict, to explain it to a person."""

from agent.core.model import Class, Evidence, Strength, Verdict
from agent.core.pytorch import operators
from agent.core.pytorch.signs import independent

# Of several strong signs, the first of these kinds is shown. A name is less convincing, because anybody can set it.
_KINDS = ("env", "label", "history")
_STRENGTHS = tuple(Strength)
_NAME_PREFIXES = ("repository ", "name ")


def deciding(verdict: Verdict) -> tuple[Evidence, ...]:
    """The strongest sign, or the two medium signs that decide together; () if there is no sign."""
    first = min(verdict.evidence, key=_rank, default=None)
    if first is None:
        return ()
    if verdict.kind is Class.PYTORCH and first.strength is Strength.MEDIUM:
        return independent(verdict.evidence) or (first,)
    return (first,)


def phrase(verdict: Verdict) -> str:
    """The deciding signs as text: `named pytorch/pytorch`, `history: pip install torch==2.9`; "" if there are none."""
    return " and ".join(_describe(sign) for sign in deciding(verdict))


def single(verdict: Verdict) -> bool:
    """Whether the image counts as PyTorch by one sign alone, and is not listed in images.known.

    The operator has confirmed the images in images.known.
    """
    signs = verdict.evidence
    return verdict.kind is Class.PYTORCH and len(signs) == 1 and signs[0].kind != operators.KIND


def _rank(sign: Evidence) -> tuple[int, int]:
    kind = _KINDS.index(sign.kind) if sign.kind in _KINDS else len(_KINDS)
    return _STRENGTHS.index(sign.strength), kind


def _describe(sign: Evidence) -> str:
    for prefix in _NAME_PREFIXES:
        if sign.text.startswith(prefix):
            return "named " + sign.text.removeprefix(prefix).partition(", ")[0]
    return sign.text
