"""The names in `images.known`: images that the operator declares to be PyTorch."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from agent.core import globs, model
from agent.core.images import isolation
from agent.core.pytorch import layer_probe
from agent.core.pytorch.signs import make_evidence

KIND = "known"  # the kind of its evidence


def lifted(
    verdicts: Mapping[str, model.Verdict], images: Iterable[model.Image], known: tuple[str, ...]
) -> Mapping[str, model.Verdict]:
    """The verdicts, with class `pytorch` for each image that a pattern in `known` matches.

    An image that could not be judged stays unknown. The operator's list is stronger than any list of names, but weaker
    than a proof: if a layer probe found no torch, the verdict stays.
    """
    if not known:
        return verdicts
    patterns, failed = isolation.each(images, lambda image: naming(image, known))
    lifted = {id_: _lift(verdict, patterns[id_]) if patterns.get(id_) else verdict for id_, verdict in verdicts.items()}
    return lifted | {id_: model.Verdict(kind=model.Class.OTHER, failure=why) for id_, why in failed.items()}


def naming(image: model.Image, known: Iterable[str]) -> str:
    """The first pattern, as it was written, that matches any reference of the image; "" if none does."""
    return next((pattern for pattern in known if globs.first_match(in_full(pattern), image.all_references)), "")


def in_full(pattern: str) -> tuple[str, ...]:
    """The globs that a pattern of `images.known` stands for: without a tag (`corp/trainer`) it covers all tags."""
    return (pattern,) if "@" in pattern or globs.tag_part(pattern) else (pattern, f"{pattern}:*")


def _is_disproved(verdict: model.Verdict) -> bool:
    probed = (one for one in verdict.evidence if one.kind == layer_probe.KIND)
    return any(one.strength is not model.Strength.STRONG for one in probed)


def _lift(verdict: model.Verdict, pattern: str) -> model.Verdict:
    if verdict.failure or verdict.kind is model.Class.PYTORCH or _is_disproved(verdict):
        return verdict
    listed = make_evidence(KIND, model.Strength.STRONG, f"named in images.known: {pattern}")
    return replace(verdict, kind=model.Class.PYTORCH, evidence=(listed, *verdict.evidence))
