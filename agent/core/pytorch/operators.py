"""What the operator says of their own names: `images.known` makes PyTorch of what nothing else shows to be it."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from agent.core import globs, model
from agent.core.images import isolation
from agent.core.pytorch import layer_probe
from agent.core.pytorch.signs import sign

FAMILY = "known"


def lifted(
    verdicts: Mapping[str, model.Verdict], images: Iterable[model.Image], known: tuple[str, ...]
) -> Mapping[str, model.Verdict]:
    """The verdicts, with each image that `known` names as `pytorch`. One that could not be judged stays unknown.

    It is the operator's word on names, so it is stronger than any list of names, and weaker than a proof: where a look
    into an image's layers speaks against torch, the verdict stays.
    """
    if not known:
        return verdicts
    named, failed = isolation.each(images, lambda image: naming(image, known))
    found = {id_: _lift(verdict, named[id_]) if named.get(id_) else verdict for id_, verdict in verdicts.items()}
    return found | {id_: model.Verdict(kind=model.Class.OTHER, failure=why) for id_, why in failed.items()}


def naming(image: model.Image, known: Iterable[str]) -> str:
    """The pattern, as it was written, that matches any reference of the image; "" for none."""
    return next((one for one in known if globs.first_match(in_full(one), image.all_references)), "")


def in_full(pattern: str) -> tuple[str, ...]:
    """What a pattern of `images.known` means: one without a tag, as `corp/trainer`, means all tags of it."""
    return (pattern,) if "@" in pattern or globs.tag_part(pattern) else (pattern, f"{pattern}:*")


def _is_disproved(verdict: model.Verdict) -> bool:
    seen = (one for one in verdict.evidence if one.kind == layer_probe.FAMILY)
    return any(one.strength is not model.Strength.STRONG for one in seen)


def _lift(verdict: model.Verdict, pattern: str) -> model.Verdict:
    if verdict.failure or verdict.kind is model.Class.PYTORCH or _is_disproved(verdict):
        return verdict
    word = sign(FAMILY, model.Strength.STRONG, f"named in images.known: {pattern}")
    return replace(verdict, kind=model.Class.PYTORCH, evidence=(word, *verdict.evidence))
