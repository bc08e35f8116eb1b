"""Applies the settings to one image: its TTL, and whether anything protects it.

An image's references are its tags and its digest references; `globs` decides which of them a pattern matches.

- Settings that only keep images apply if any reference matches: images.exclude, policy.protect, and in a rule
  keep = true, local_images = "keep" or the longest TTL.
- Settings that can also lead to an eviction are applied to each reference separately, and the most careful result
  counts: images.include, and in a rule a shorter TTL, local_images = "evict" or keep_newest. For example, a TTL of one
  day for `ci/*` has no effect on an image that also has a tag outside `ci/`. A digest reference in a repository in
  which the image has a tag is skipped, as it only repeats the tag (`globs.standalone`); otherwise no rule for a tag
  could have an effect.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

from agent.core import globs, text, units
from agent.core.model import Class, Image, Verdict
from agent.core.policy.decision import Reason
from agent.core.policy.overrides import Overrides, Pin
from agent.core.policy.settings import Policy, Rule

LABEL_KEEP = "torchkeeper.keep"
LABEL_TTL = "torchkeeper.ttl"
_KEEPS = ("true", "1", "yes")  # values of LABEL_KEEP, case and spaces aside
_DOES_NOT_KEEP = ("false", "0", "no")
_TAGS = ("latest", "stable", "nightly", "edge", "main", "master", "dev", "release")  # names that are usually tags


@dataclass(frozen=True, slots=True)
class LabelTtl:
    """The `torchkeeper.ttl` label of an image: its value, or why it cannot be read. Both are empty without a label."""

    ttl: timedelta | None = None
    error: str = ""


def label_ttl(image: Image) -> LabelTtl:
    written = image.details.labels.get(LABEL_TTL) if image.details else None
    if written is None:
        return LabelTtl()
    try:
        return LabelTtl(ttl=units.parse_duration(written))
    except ValueError as error:
        return LabelTtl(error=f"label {LABEL_TTL}: {error}")


def ttl(image: Image, policy: Policy) -> timedelta:
    """The image's TTL: the longest of its label and, for each reference, its rules or else the policy."""
    return max(length for length, _ in _ttls(image, policy))


def ttl_source(image: Image, policy: Policy) -> str:
    """Where the image's TTL comes from, for people."""
    return max(_ttls(image, policy), key=lambda sourced: sourced[0])[1]


def _ttls(image: Image, policy: Policy) -> Iterator[tuple[timedelta, str]]:
    """Every TTL that applies to an image, with its source for people; the longest counts."""
    label = label_ttl(image).ttl
    if label is not None:
        yield label, f"its label {LABEL_TTL}"
    by_reference = {reference: _ttls_of_rules(reference, policy) for reference in image.all_references}
    yield from chain.from_iterable(by_reference.values())
    if not _rules_cover(image, by_reference):
        yield policy.ttl, "policy.ttl"


def _ttls_of_rules(reference: str, policy: Policy) -> list[tuple[timedelta, str]]:
    return [
        (rule.ttl, f"the rule for {rule.match}, which matches {reference}")
        for rule in _rules_for(reference, policy)
        if rule.ttl is not None
    ]


def _rules_cover(image: Image, by_reference: Mapping[str, Collection[object]]) -> bool:
    """Whether rules give a value for each reference that counts, so that the policy's own value does not apply."""
    return bool(by_reference) and all(by_reference[reference] for reference in image.standalone)


def why_never_matches(pattern: str) -> str:
    """Why a pattern cannot match any reference in the form in which Docker lists them; "" if it can."""
    repository, tag = pattern.rpartition(":")[::2] if ":" in pattern.rpartition("/")[2] else (pattern, "")
    for prefix in ("docker.io/", "index.docker.io/", "library/"):
        if pattern.startswith(prefix):
            return f"the engine lists such images without {prefix}"
    if "@" in pattern:
        return globs.why_no_digest(pattern)
    if not tag and not any(sign in pattern for sign in "*?["):
        return f"it has no tag; {_with_a_tag(pattern)}"
    if re.search(r"\s", pattern) or "://" in pattern:
        return "no reference has this form; write it like team/pytorch:*"
    fixed = re.split(r"[*?\[]", repository)[0]
    first, slash, path = fixed.partition(
        "/"
    )  # the part before the first slash may be a registry, which may be upper case
    if any(letter.isupper() for letter in path or (first if not slash and fixed == repository else "")):
        return "repositories are written in lower case"
    return ""


def _with_a_tag(pattern: str) -> str:
    """Suggest what the author of a pattern without a tag may have meant."""
    if "/" in pattern:
        return f"write {pattern}:*"
    if pattern in _TAGS or re.match(r"v?\d", pattern):
        return f"write *:{pattern}"
    return f"write *{pattern}*:* for every name with it, {pattern}:* for the repository, or *:{pattern} for the tag"


def keep_newest(reference: str, policy: Policy) -> int:
    """How many of the newest images to keep in the series of a reference: the most of its rules, else the policy's."""
    counts = [rule.keep_newest for rule in _rules_for(reference, policy) if rule.keep_newest is not None]
    return max(counts, default=policy.keep_newest)


def evicts_local(image: Image, policy: Policy) -> bool:
    """Whether an image that is possibly the only copy may be evicted: only if that is allowed for each reference."""
    by_reference = {reference: _local_by_rules(reference, policy) for reference in image.all_references}
    allowed = all(chain.from_iterable(by_reference.values()))
    return allowed and (_rules_cover(image, by_reference) or policy.evict_local)


def _local_by_rules(reference: str, policy: Policy) -> list[bool]:
    return [rule.evict_local for rule in _rules_for(reference, policy) if rule.evict_local is not None]


def _rules_for(reference: str, policy: Policy) -> list[Rule]:
    return [rule for rule in policy.rules if globs.matches(rule.match, reference)]


def recognised(image: Image, verdict: Verdict, policy: Policy) -> bool:
    """Whether an image counts as PyTorch, either by its verdict or as an ambiguous one that the settings include."""
    if verdict.kind is Class.AMBIGUOUS:
        return policy.evict_ambiguous or (bool(policy.include) and not _why_not_included(image, policy))
    return verdict.kind is Class.PYTORCH


def _why_not_included(image: Image, policy: Policy) -> str:
    """Why images.include does not cover an image, for people; "" if it does."""
    if not policy.include:
        return ""
    if not image.standalone:
        return "it has no reference that images.include could match"
    outside = (one for one in image.standalone if globs.first_match(policy.include, [one]) is None)
    return next((f"{reference} does not match images.include" for reference in outside), "")


def pin_for(image: Image, overrides: Overrides, now: datetime) -> Pin | None:
    """The pin that keeps an image, by ID or by any reference; None if there is none."""
    return next((pin for pin in overrides.pins if not pin.over(now) and pin.means(image)), None)


def pin_ended(image: Image, overrides: Overrides, now: datetime) -> datetime | None:
    """When the last pin of an image ended, even if no agent ran then; None if none has ended."""
    return max((pin.until for pin in overrides.pins if pin.until and pin.over(now) and pin.means(image)), default=None)


def protections(image: Image, policy: Policy, overrides: Overrides, now: datetime) -> Iterator[tuple[Reason, str]]:
    """The reasons by which an operator keeps images, in the order of `Reason`, each with why it applies, or ""."""
    yield Reason.EXCLUDED, _why_excluded(image, policy)
    yield Reason.PINNED, _why_pinned(pin_for(image, overrides, now))
    yield Reason.LABEL_KEEP, _why_labelled(image)
    yield Reason.PROTECTED_TAG, _why_protected(image, policy)
    yield Reason.RULE_KEEP, _why_by_rule(image, policy)


def _why_excluded(image: Image, policy: Policy) -> str:
    match = globs.first_match(policy.exclude, image.all_references)
    return f"{match.reference} matches images.exclude" if match is not None else _why_not_included(image, policy)


def _why_pinned(pin: Pin | None) -> str:
    if pin is None:
        return ""
    until = f" until {units.format_time(pin.until)}" if pin.until else ""
    by = f" by {pin.by}" if pin.by else ""
    return f"pinned{by}{until}" + (f": {pin.reason}" if pin.reason else "")


def _why_labelled(image: Image) -> str:
    value = _keep_label(image)
    if value is not None and value.lower() not in _DOES_NOT_KEEP:
        return f"its label {LABEL_KEEP}" + (f"={text.shown(value)}" if value else "")
    error = label_ttl(image).error
    return f"its {error}" if error else ""


def _keep_label(image: Image) -> str | None:
    value = image.details.labels.get(LABEL_KEEP) if image.details else None
    return None if value is None else value.strip()


def label_warnings(image: Image) -> tuple[str, ...]:
    """The mistakes in the image's own labels, for people. Each of them keeps the image."""
    value = _keep_label(image)
    unclear = value is not None and value.lower() not in (*_KEEPS, *_DOES_NOT_KEEP)
    keep = f"label {LABEL_KEEP}: {text.shown(value or '')!r} is neither true nor false, so it keeps the image"
    return tuple(filter(None, (keep if unclear else "", label_ttl(image).error)))


def _why_protected(image: Image, policy: Policy) -> str:
    match = globs.first_match(policy.protect, image.all_references)
    return f"{match.reference} matches policy.protect" if match is not None else ""


def _why_by_rule(image: Image, policy: Policy) -> str:
    match = globs.first_match((rule.match for rule in policy.rules if rule.keep), image.all_references)
    return f"{match.reference} matches the rule for {match.pattern}, which keeps it" if match is not None else ""
