"""Disk pressure: which images go beyond those that are due, until enough is freed.

Whatever keeps an image, keeps it under pressure, but for the wait for its TTL (`recent`).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from agent.core import families, units
from agent.core.families import Family
from agent.core.layers import Ledger
from agent.core.model import Action, Decision, Pressure, Reason
from agent.core.space import Space


def presses(settings: Pressure, space: Space | None, images_bytes: int, *, before: bool) -> bool:
    """Whether space is a reason to evict: from `high` on, and once it is, until `low`; or over the budget."""
    if settings.budget is not None:
        return images_bytes > settings.budget
    if settings.high is None or settings.low is None or space is None:
        return False
    return space.share > (settings.low if before else settings.high)


def wanting(settings: Pressure, space: Space | None, images_bytes: int) -> int:
    """The bytes to free until the pressure ends."""
    if settings.budget is not None:
        return max(0, images_bytes - settings.budget)
    return space.over(settings.low) if space is not None and settings.low is not None else 0


def words(settings: Pressure, space: Space | None, images_bytes: int) -> str:
    """The state of the disk, for people; "" where no pressure is set."""
    if settings.budget is not None:
        return f"images take {units.format_bytes(images_bytes)} (budget {units.format_bytes(settings.budget)})"
    if settings.high is None or settings.low is None:
        return ""
    if space is None:
        return "the disk of the engine cannot be seen from here"
    what = "disk" if space.worse == "bytes" else "disk's inodes"
    return f"{what} {space.share:.0%} full (high {settings.high:.0%}, low {settings.low:.0%})"


def choose(answers: Mapping[str, Decision], family: Family, ledger: Ledger, bytes_wanted: int) -> frozenset[str]:
    """The images to evict beyond those that `answers` evict, so that all together free what is wanted.

    What waits only for a gap to be forgotten (`gap`) counts as if it went: what was used after it must not go in its
    stead. `ledger` is used up.
    """
    settled = family.settle(answers)
    free = bytes_wanted
    for key, decision in settled.items():
        if decision.action is Action.EVICT or decision.reason is Reason.GAP:
            free -= ledger.release(key)
    gone = {key for key, decision in settled.items() if decision.action is Action.EVICT}
    chosen: list[str] = []
    for key in families.order(_candidates(answers, settled, family, gone)):
        if free <= 0:
            break
        chosen.append(key)
        gone.add(key)
        free -= ledger.release(key)
        for follower in family.followers(key, answers, gone):
            gone.add(follower)
            free -= ledger.release(follower)
    return frozenset(chosen)


def _candidates(
    answers: Mapping[str, Decision], settled: Mapping[str, Decision], family: Family, gone: set[str]
) -> dict[str, Decision]:
    """What waits only for its TTL, and has no child that stays in any case."""
    found: dict[str, Decision] = {}
    for key in [*(key for key in settled if key not in family.children), *family.parents_last]:
        decision = answers.get(key)
        free = all(child in gone or child in found for child in family.children.get(key, []))
        if free and decision is not None and decision.reason is Reason.RECENT and key not in gone:
            found[key] = decision
    return found


def evict(decision: Decision, state: str) -> Decision:
    """The decision once pressure is its reason."""
    idle = units.format_duration(decision.idle) if decision.idle is not None else "?"
    why = f"{state}; idle {idle}; frees about {units.format_bytes(decision.estimated_bytes)}"
    return replace(decision, action=Action.EVICT, reason=Reason.DISK_PRESSURE, explanation=why, due=None)


def kept_bytes(decisions: Mapping[str, Decision], ledger: Ledger) -> dict[Reason, int]:
    """Reason -> the bytes that its images hold and no other's do, most first. `ledger` holds all images."""
    kept = [(key, item.reason) for key, item in decisions.items() if item.action is Action.KEEP]
    found: Counter[Reason] = Counter()
    for reason in {reason for _, reason in kept}:
        alone = ledger.copy()
        found[reason] = sum(alone.release(key) for key, why in kept if why is reason)
    return dict(found.most_common())
