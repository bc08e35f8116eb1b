"""What the settings say of one image: its TTL, and what protects it.

An image with several references is judged reference by reference, and the most careful answer holds: a TTL of
one day for `ci/*` does not reach an image that also bears a name of somebody else.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import translate
from functools import lru_cache

from agent.core import units
from agent.core.model import Class, Holds, Image, Pin, Policy, Reason, Rule, Verdict

LABEL_KEEP = "torchkeeper.keep"
LABEL_TTL = "torchkeeper.ttl"

_TAGS = ("latest", "stable", "nightly", "edge", "main", "master", "dev", "release")  # names that are tags, mostly


@lru_cache(maxsize=4096)
def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern))


def matches(pattern: str, reference: str) -> bool:
    """Whether a glob matches `repository:tag`, case and all; `*` crosses `/`."""
    return _regex(pattern).match(reference) is not None


def any_match(patterns: tuple[str, ...], references: tuple[str, ...]) -> bool:
    return any(matches(pattern, reference) for pattern in patterns for reference in references)


@dataclass(frozen=True, slots=True)
class LabelTtl:
    """A `torchkeeper.ttl` label: its value, or why it cannot be read."""

    ttl: timedelta | None = None
    error: str = ""


def label_ttl(image: Image) -> LabelTtl:
    text = image.details.labels.get(LABEL_TTL) if image.details else None
    if text is None:
        return LabelTtl()
    try:
        return LabelTtl(ttl=units.duration(text))
    except ValueError as error:
        return LabelTtl(error=f"label {LABEL_TTL}: {error}")


def ttl(image: Image, policy: Policy) -> timedelta:
    """The TTL in force: by reference the longest of its rules', else the policy's; a label lengthens it."""
    by_reference = [_reference_ttl(reference, policy) for reference in image.references or ("",)]
    return max(*by_reference, label_ttl(image).ttl or timedelta(), timedelta())


def _reference_ttl(reference: str, policy: Policy) -> timedelta:
    named = [rule.ttl for rule in _rules_for(reference, policy) if rule.ttl is not None]
    return max(named, default=policy.ttl)


def ttl_source(image: Image, policy: Policy) -> str:
    """Where the TTL in force comes from, for people."""
    label, longest = label_ttl(image).ttl, ttl(image, policy)
    if label is not None and label == longest:
        return f"its label {LABEL_TTL}"
    for reference in image.references:
        for rule in _rules_for(reference, policy):
            if rule.ttl == longest:
                return f"the rule for {rule.match}"
    return "policy.ttl"


def never_matches(pattern: str) -> str:
    """Why a pattern can match no reference as the engine lists them; "" where it can."""
    repository, tag = pattern.rpartition(":")[::2] if ":" in pattern.rpartition("/")[2] else (pattern, "")
    for prefix in ("docker.io/", "index.docker.io/", "library/"):
        if pattern.startswith(prefix):
            return f"the engine lists such images without {prefix}"
    if "@" in pattern:
        return "patterns match repository:tag, not digests"
    if not tag and not any(sign in pattern for sign in "*?["):
        return f"it has no tag; {_with_a_tag(pattern)}"
    if re.search(r"\s", pattern) or "://" in pattern:
        return "no reference looks like that; write it like team/pytorch:*"
    fixed = re.split(r"[*?\[]", repository)[0]
    first, slash, path = fixed.partition("/")  # before the first slash a registry may stand, in any case
    if any(letter.isupper() for letter in path or (first if not slash and fixed == repository else "")):
        return "repositories are written in lower case"
    return ""


def _with_a_tag(pattern: str) -> str:
    """What the author of a pattern without a tag may have meant."""
    if "/" in pattern:
        return f"write {pattern}:*"
    if pattern in _TAGS or re.match(r"v?\d", pattern):
        return f"write *:{pattern}"
    return f"write *{pattern}*:* for every name with it, {pattern}:* for the repository, or *:{pattern} for the tag"


def keep_newest(reference: str, policy: Policy) -> int:
    """How many images of its line a reference is kept among: the most that its rules say, else the policy."""
    named = [rule.keep_newest for rule in _rules_for(reference, policy) if rule.keep_newest is not None]
    return max(named, default=policy.keep_newest)


def evicts_local(image: Image, policy: Policy) -> bool:
    """Whether an image that may exist nowhere else may go: only where every one of its references says so."""
    return all(_reference_evicts_local(reference, policy) for reference in image.references or ("",))


def _reference_evicts_local(reference: str, policy: Policy) -> bool:
    said = [rule.evict_local for rule in _rules_for(reference, policy) if rule.evict_local is not None]
    return all(said) if said else policy.evict_local


def _rules_for(reference: str, policy: Policy) -> list[Rule]:
    return [rule for rule in policy.rules if reference and matches(rule.match, reference)]


def recognised(image: Image, verdict: Verdict, policy: Policy) -> bool:
    """Whether it counts as PyTorch: it does, or it is ambiguous and the settings lift that. Never OTHER."""
    if verdict.kind is Class.AMBIGUOUS:
        return policy.evict_ambiguous or (bool(policy.include) and _included(image, policy))
    return verdict.kind is Class.PYTORCH


def _included(image: Image, policy: Policy) -> bool:
    if not policy.include:
        return True
    return bool(image.references) and all(any_match(policy.include, (reference,)) for reference in image.references)


def pin_for(image: Image, holds: Holds, now: datetime) -> Pin | None:
    """The pin that keeps it, by ID or any reference."""
    return next((pin for pin in holds.pins if not pin.over(now) and pin.means(image)), None)


def pin_ended(image: Image, holds: Holds, now: datetime) -> datetime | None:
    """When the last pin that kept it ended, whether an agent saw that or not."""
    return max((pin.until for pin in holds.pins if pin.until and pin.over(now) and pin.means(image)), default=None)


def protection(image: Image, policy: Policy, holds: Holds, now: datetime) -> tuple[Reason, str] | None:
    """What the operator said to keep it, with a clause for people, in the order of `Reason`; or None."""
    if any_match(policy.exclude, image.references):
        return Reason.EXCLUDED, "matches images.exclude"
    if not _included(image, policy):
        return Reason.EXCLUDED, "not all of its references match images.include"
    pin = pin_for(image, holds, now)
    if pin is not None:
        until = f" until {units.format_time(pin.until)}" if pin.until else ""
        return Reason.PINNED, f"pinned{until}" + (f": {pin.reason}" if pin.reason else "")
    return _label_keep(image) or _tag_keep(image, policy)


def _label_keep(image: Image) -> tuple[Reason, str] | None:
    labels = image.details.labels if image.details else {}
    keep = labels.get(LABEL_KEEP, "").strip().lower()
    if keep not in ("", "false", "0", "no"):  # a value that nobody understands keeps, too
        return Reason.LABEL_KEEP, f"its label {LABEL_KEEP}={labels[LABEL_KEEP]}"
    if label_ttl(image).error:
        return Reason.LABEL_KEEP, f"its {label_ttl(image).error}"
    return None


def _tag_keep(image: Image, policy: Policy) -> tuple[Reason, str] | None:
    for reference in image.references:
        if any_match(policy.protect, (reference,)):
            return Reason.PROTECTED_TAG, f"{reference} matches policy.protect"
    for reference in image.references:
        for rule in _rules_for(reference, policy):
            if rule.keep:
                return Reason.RULE_KEEP, f"the rule for {rule.match} keeps it"
    return None
