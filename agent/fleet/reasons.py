"""What holds images on a host, in words, and what a person can do about it. Pure.

A key is a reason that keeps an image or, for an eviction that is due, what holds it. Commands stand in backquotes.
"""

from dataclasses import dataclass

from agent.core.policy.decision import HeldBy, Reason


@dataclass(frozen=True, slots=True)
class Holding:
    """`words` completes "412 GB ...". `way_out` is "" if nothing is to be done."""

    words: str
    way_out: str = ""


HOLDING: dict[Reason | HeldBy, Holding] = {
    Reason.NOT_PYTORCH: Holding("are not PyTorch", "torchkeeper never removes them; `docker image rm IMAGE` does"),
    Reason.UNKNOWN: Holding("could not be inspected", "the agent's log says why; so does `docker image inspect IMAGE`"),
    Reason.AMBIGUOUS: Holding(
        "may or may not be PyTorch",
        'list those that are in `images.known`, or set `images.ambiguous = "evict"`; why: `torchkeeper explain IMAGE`',
    ),
    Reason.IN_USE: Holding(
        "are in use",
        "containers hold them, stopped ones, too: `docker ps -a --filter status=exited`; remove those nobody needs",
    ),
    Reason.EXCLUDED: Holding("are excluded", "change `images.exclude`"),
    Reason.PINNED: Holding(
        "are pinned", "by whom and until when: `torchkeeper pins`; end it: `torchkeeper unpin IMAGE`"
    ),
    Reason.LABEL_KEEP: Holding("carry a keep label", "build them again without the label `torchkeeper.keep`"),
    Reason.PROTECTED_TAG: Holding("have a protected tag", "remove the tag, or change `policy.protect`"),
    Reason.RULE_KEEP: Holding("are kept by a rule", "change the rule in `[[policy.rules]]`"),
    Reason.KEEP_NEWEST: Holding("are among the newest", "lower `policy.keep_newest`"),
    Reason.LOCAL_ONLY: Holding(
        "exist nowhere else that we know",
        'push them to a registry: `docker push IMAGE`; or set `local_images = "evict"` for a rule',
    ),
    Reason.MIN_AGE: Holding("arrived or were renamed recently", "wait until `policy.min_age` has passed"),
    Reason.GAP: Holding("wait after a monitoring gap", "wait: their idle time counts from the end of the gap"),
    Reason.DANGLING: Holding("have no name and are due"),
    Reason.DISK_PRESSURE: Holding("are due, as disk space is short"),
    Reason.IDLE_TTL: Holding("are due, as their TTL has passed"),
    Reason.HAS_CHILDREN: Holding("have images built on them", "they can go after the images that are built on them"),
    Reason.RECENT: Holding("were used recently", "lower `policy.ttl`, or set `pressure.high` and `pressure.low`"),
    HeldBy.OBSERVE: Holding("are due, but the agent only observes", 'set `agent.mode = "enforce"`'),
    HeldBy.PAUSED: Holding("are due, but evictions are paused", "end the pause: `torchkeeper resume`"),
    HeldBy.WINDOW: Holding("are due, but wait for their window", "wait for it, or change `schedule.windows`"),
    HeldBy.RATE_LIMIT: Holding("are due, but a limit is reached", "wait, or raise what `[limits]` allows"),
    HeldBy.CLOCK: Holding("are due, but the host's clock is not trusted", "correct it; then: `torchkeeper check`"),
    HeldBy.UNPROVEN: Holding(
        "are due, but events may be missing", "wait until the agent sees all of the engine's events"
    ),
    HeldBy.BACKOFF: Holding(
        "are due, but their removal failed before", "why: `torchkeeper history`; it is tried again"
    ),
}


def holding(key: str) -> Holding:
    """What holds images, from the words of an agent. A newer agent may have one that is not known here."""
    known = Reason.of(key)
    if known is None and key in set(HeldBy):
        return HOLDING[HeldBy(key)]
    return HOLDING[known] if known is not None else Holding(f"are kept: {key}")
