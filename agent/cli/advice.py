"""What a person can do about a decision: how the image is kept, and how it is removed."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent.core import text
from agent.core.images.references import repository
from agent.core.model import Class, Container, Image
from agent.core.policy.decision import Action, Decision, HeldBy, Reason
from agent.core.policy.overrides import Pin


@dataclass(frozen=True, slots=True)
class Line:
    """One line of advice. `whole`: a command or a setting to be copied, which must not be folded."""

    text: str
    whole: bool = False


def to_keep(item: Decision) -> list[Line]:
    """How a person keeps the image whatever its age; empty if a pin changes nothing."""
    if item.verdict.kind is Class.OTHER or item.reason is Reason.PINNED:
        return []
    return [_command("torchkeeper", "pin", _name(item.image))]


def to_remove(item: Decision, containers: Sequence[Container] = (), pin: Pin | None = None) -> list[Line]:
    """How a person lets the image be removed; empty if the next sweep removes it. `pin`: the one that keeps it."""
    if item.action is Action.EVICT:
        return [Line(_HELD[item.held_by])] if item.held_by is not None else []
    return list(_lines(item, containers, pin))


_HELD = {
    HeldBy.OBSERVE: 'observe mode removes nothing: set mode = "enforce" in [agent]',
    HeldBy.PAUSED: "end the pause: torchkeeper resume",
    HeldBy.WINDOW: "wait for the next window, or change schedule.windows",
    HeldBy.RATE_LIMIT: "wait: what may be removed in an hour or in one sweep is limited; see [limits]",
    HeldBy.CLOCK: "wait: the clock has jumped; evictions go on when it has been steady for a while",
    HeldBy.UNPROVEN: "wait: the agent has not caught up with Docker's events; `torchkeeper check` shows why",
    HeldBy.BACKOFF: "the last removal was refused or failed, and it is tried again later; see `torchkeeper history`",
}


_PLAIN = {
    Reason.EXCLUDED: "take the pattern that matches it out of images.exclude",
    Reason.LABEL_KEEP: "build it without that label, or with a value that can be read",
    Reason.PROTECTED_TAG: "take that tag away, or take the pattern that matches it out of policy.protect",
    Reason.RULE_KEEP: "take keep = true out of that rule",
    Reason.HAS_CHILDREN: "remove the images that are built on it first",
}
_BY_NAME = (Reason.NOT_PYTORCH, Reason.AMBIGUOUS, Reason.LOCAL_ONLY, Reason.RECENT)  # a name is part of the advice


def _lines(item: Decision, containers: Sequence[Container], pin: Pin | None) -> Iterator[Line]:
    image, name, reason = item.image, _name(item.image), item.reason
    if reason is Reason.EXCLUDED and "images.include" in item.explanation:
        return iter([Line("add a pattern that matches it to images.include")])
    if reason in _PLAIN:
        return iter([Line(_PLAIN[reason])])
    if reason is Reason.PINNED:
        return iter([_command("torchkeeper", "unpin", (pin.reference or pin.id[7:19]) if pin is not None else name)])
    if reason is Reason.IN_USE:
        return _containers(containers)
    if not image.standalone and reason in _BY_NAME:
        return _by_hand("it has no name, so no pattern and no rule can match it; remove it with Docker:", image)
    return _by_reason(reason, image, name)


def _by_reason(reason: Reason, image: Image, name: str) -> Iterator[Line]:
    match reason:
        case Reason.NOT_PYTORCH:
            yield from _by_hand("torchkeeper removes PyTorch images only; remove it with Docker:", image)
            yield from _known("if it is a PyTorch image, say so in [images]:", name)
        case Reason.AMBIGUOUS:
            yield from _known("if it is a PyTorch image, say so in [images]:", name)
            yield Line('or let all such images be removed: ambiguous = "evict" in [images]')
        case Reason.UNKNOWN:
            yield from _by_hand("once Docker can inspect it, it is judged again; or remove it with Docker:", image)
        case Reason.KEEP_NEWEST:
            yield from _rule("do not count it among the newest: add a rule for it", name, "keep_newest = 0")
        case Reason.LOCAL_ONLY:
            yield Line("push it to a registry, so that it is not the only copy:")
            yield _command("docker", "push", name)
            yield from _rule("or accept the loss: add a rule for it", name, 'local_images = "evict"')
            yield Line('or for every such image: local_images = "evict" in [policy]')
        case Reason.RECENT:
            yield from _rule("give it a shorter TTL: add a rule for it", name, 'ttl = "7d"')
            yield from _by_hand("or remove it with Docker:", image)
        case _:
            yield from _by_hand("wait, or remove it with Docker:", image)


def _by_hand(why: str, image: Image) -> Iterator[Line]:
    yield Line(why)
    yield _command("docker", "image", "rm", *(image.standalone or (image.id[7:19],)))


def _known(why: str, name: str) -> Iterator[Line]:
    yield Line(why)
    yield Line(f'known = ["{text.one_line(repository(name))}"]', whole=True)


def _rule(why: str, name: str, setting: str) -> Iterator[Line]:
    yield Line(why)
    yield from (Line(line, whole=True) for line in ("[[policy.rules]]", f'match = "{text.one_line(name)}"', setting))


def _containers(containers: Sequence[Container]) -> Iterator[Line]:
    running = [container.name or container.id[:12] for container in containers if container.running]
    names = [container.name or container.id[:12] for container in containers]
    if running:
        yield Line("stop and remove its containers, if nobody needs them:")
        yield _command("docker", "stop", *running)
    else:
        yield Line("remove its stopped containers, if nobody needs them:")
    yield _command("docker", "rm", *names)
    yield Line("then it is idle, and is removed after its TTL")


def _command(*words: str) -> Line:
    return Line(text.one_line(shlex.join(words)), whole=True)


def _name(image: Image) -> str:
    return image.standalone[0] if image.standalone else image.id[7:19]
