"""What the settings say of one image: its TTL, and what protects it.

An image's references are its tags and its digest references; `globs` says which of them a pattern matches.

- What only keeps (images.exclude, policy.protect, and in a rule keep = true, local_images = "keep" or a TTL that is
  the longest) applies where any reference matches.
- What can also let an image go (images.include, and in a rule a shorter TTL, local_images = "evict" or keep_newest)
  is asked of each reference by itself, and the most careful answer counts: a TTL of one day for `ci/*` does not reach
  an image that also has a tag outside of `ci/`. A digest reference of a repository in which the image has a tag is
  not asked: it only repeats the tag, and would make every rule for a tag useless (`globs.standalone`).
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
_KEEPS_NOT = ("false", "0", "no")
_TAGS = ("latest", "stable", "nightly", "edge", "main", "master", "dev", "release")  # names that are tags, mostly


@dataclass(frozen=True, slots=True)
class LabelTtl:
    """A `torchkeeper.ttl` label: its value, or why it cannot be read."""

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
    """The TTL in force: by reference the longest of its rules', else the policy's; a label lengthens it."""
    return max(length for length, _ in _ttls(image, policy))


def ttl_source(image: Image, policy: Policy) -> str:
    """Where the TTL in force comes from, for people."""
    return max(_ttls(image, policy), key=lambda found: found[0])[1]


def _ttls(image: Image, policy: Policy) -> Iterator[tuple[timedelta, str]]:
    """Every TTL that bears on an image, with its source for people; the longest counts."""
    label = label_ttl(image).ttl
    if label is not None:
        yield label, f"its label {LABEL_TTL}"
    said = {reference: _said_of_ttl(reference, policy) for reference in image.all_references}
    yield from chain.from_iterable(said.values())
    if not _by_rules_alone(image, said):
        yield policy.ttl, "policy.ttl"


def _said_of_ttl(reference: str, policy: Policy) -> list[tuple[timedelta, str]]:
    return [
        (rule.ttl, f"the rule for {rule.match}, which matches {reference}")
        for rule in _rules_for(reference, policy)
        if rule.ttl is not None
    ]


def _by_rules_alone(image: Image, said: Mapping[str, Collection[object]]) -> bool:
    """Whether rules say something of every reference that is asked, so that the policy's own value does not count."""
    return bool(said) and all(said[reference] for reference in image.standalone)


def why_never_matches(pattern: str) -> str:
    """Why a pattern can match no reference as the engine lists them; "" where it can."""
    repository, tag = pattern.rpartition(":")[::2] if ":" in pattern.rpartition("/")[2] else (pattern, "")
    for prefix in ("docker.io/", "index.docker.io/", "library/"):
        if pattern.startswith(prefix):
            return f"the engine lists such images without {prefix}"
    if "@" in pattern:
        return globs.why_no_digest(pattern)
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
    said = {reference: _said_of_local(reference, policy) for reference in image.all_references}
    return all(chain.from_iterable(said.values())) and (_by_rules_alone(image, said) or policy.evict_local)


def _said_of_local(reference: str, policy: Policy) -> list[bool]:
    return [rule.evict_local for rule in _rules_for(reference, policy) if rule.evict_local is not None]


def _rules_for(reference: str, policy: Policy) -> list[Rule]:
    return [rule for rule in policy.rules if globs.matches(rule.match, reference)]


def recognised(image: Image, verdict: Verdict, policy: Policy) -> bool:
    """Whether it counts as PyTorch: it does, or it is ambiguous and the settings lift that. Never OTHER."""
    if verdict.kind is Class.AMBIGUOUS:
        return policy.evict_ambiguous or (bool(policy.include) and not _why_not_included(image, policy))
    return verdict.kind is Class.PYTORCH


def _why_not_included(image: Image, policy: Policy) -> str:
    """Why images.include leaves an image out, for people; "" where it does not."""
    if not policy.include:
        return ""
    if not image.standalone:
        return "it has no reference that images.include could match"
    outside = (one for one in image.standalone if globs.first_match(policy.include, [one]) is None)
    return next((f"{reference} does not match images.include" for reference in outside), "")


def pin_for(image: Image, holds: Overrides, now: datetime) -> Pin | None:
    """The pin that keeps it, by ID or any reference."""
    return next((pin for pin in holds.pins if not pin.over(now) and pin.means(image)), None)


def pin_ended(image: Image, holds: Overrides, now: datetime) -> datetime | None:
    """When the last pin that kept it ended, whether an agent saw that or not."""
    return max((pin.until for pin in holds.pins if pin.until and pin.over(now) and pin.means(image)), default=None)


def protections(image: Image, policy: Policy, holds: Overrides, now: datetime) -> Iterator[tuple[Reason, str]]:
    """What an operator can say to keep it, in the order of `Reason`, each with a clause for people; "" where unsaid."""
    yield Reason.EXCLUDED, _why_excluded(image, policy)
    yield Reason.PINNED, _why_pinned(pin_for(image, holds, now))
    yield Reason.LABEL_KEEP, _why_labelled(image)
    yield Reason.PROTECTED_TAG, _why_protected(image, policy)
    yield Reason.RULE_KEEP, _why_by_rule(image, policy)


def _why_excluded(image: Image, policy: Policy) -> str:
    found = globs.first_match(policy.exclude, image.all_references)
    return f"{found.reference} matches images.exclude" if found is not None else _why_not_included(image, policy)


def _why_pinned(pin: Pin | None) -> str:
    if pin is None:
        return ""
    until = f" until {units.format_time(pin.until)}" if pin.until else ""
    return f"pinned{until}" + (f": {pin.reason}" if pin.reason else "")


def _why_labelled(image: Image) -> str:
    value = _keep_label(image)
    if value is not None and value.lower() not in _KEEPS_NOT:
        return f"its label {LABEL_KEEP}" + (f"={text.shown(value)}" if value else "")
    error = label_ttl(image).error
    return f"its {error}" if error else ""


def _keep_label(image: Image) -> str | None:
    value = image.details.labels.get(LABEL_KEEP) if image.details else None
    return None if value is None else value.strip()


def label_warnings(image: Image) -> tuple[str, ...]:
    """What is wrong with the image's own labels, for people. Whatever it is, it keeps the image."""
    value = _keep_label(image)
    unclear = value is not None and value.lower() not in (*_KEEPS, *_KEEPS_NOT)
    keep = f"label {LABEL_KEEP}: {text.shown(value or '')!r} is neither true nor false, so it keeps the image"
    return tuple(filter(None, (keep if unclear else "", label_ttl(image).error)))


def _why_protected(image: Image, policy: Policy) -> str:
    found = globs.first_match(policy.protect, image.all_references)
    return f"{found.reference} matches policy.protect" if found is not None else ""


def _why_by_rule(image: Image, policy: Policy) -> str:
    found = globs.first_match((rule.match for rule in policy.rules if rule.keep), image.all_references)
    return f"{found.reference} matches the rule for {found.pattern}, which keeps it" if found is not None else ""
