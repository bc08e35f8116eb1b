"""What a plan shows on the board: the inventory, and alerts about the disk, the policy, and unreadable images."""

import asyncio
from typing import Literal

from agent.adapters.store import Store
from agent.board import Board
from agent.core import inventory, names, totals, units, wire
from agent.core.model import Action, Decision, HeldBy, Plan, Policy
from agent.sight import Sight

DISK_FULL = "disk-full-nothing-evictable"
DISK_UNSEEN = "pressure-unseen"
POLICY_CHANGE = "policy-change"
IMAGE_UNREADABLE = "image-unreadable"
ALERTS = (DISK_FULL, DISK_UNSEEN, POLICY_CHANGE, IMAGE_UNREADABLE)


class Showcase:
    """Shows plans, one after another."""

    def __init__(self, board: Board, sight: Sight, store: Store, policy: Policy) -> None:
        self._board = board
        self._sight = sight
        self._store = store
        self._policy = policy

    async def show(self, plan: Plan) -> None:
        """Put a plan on the board."""
        if plan.hold is not HeldBy.UNPROVEN:  # that passes by itself, and is no news of the disk
            self._alert(DISK_FULL, _disk_full(plan), plan, "critical")
        self._alert(DISK_UNSEEN, self._disk_unseen(), plan)
        self._alert(POLICY_CHANGE, _policy_change(plan), plan)
        self._alert(IMAGE_UNREADABLE, _image_unreadable(plan), plan)
        last = await self._store.run(lambda tables: tables.last_decisions(wire.LAST_DECISIONS))
        host, disk = self._store.host, self._disk(plan)
        self._board.show_inventory(await asyncio.to_thread(inventory.build, plan, host, disk, last))

    def _alert(
        self, alert_id: str, message: str, plan: Plan, severity: Literal["warning", "critical"] = "warning"
    ) -> None:
        if message:
            self._board.raise_alert(alert_id, message, plan.at, severity)
        else:
            self._board.clear_alert(alert_id)

    def _disk(self, plan: Plan) -> wire.Disk:
        space = self._sight.space()
        return wire.Disk(
            total_bytes=space.total_bytes if space else None,
            used_bytes=space.used_bytes if space else None,
            images_bytes=sum(item.image.size_bytes for item in plan.decisions),
            reclaimable_bytes=plan.estimated_bytes,
        )

    def _disk_unseen(self) -> str:
        engine = self._sight.engine
        if self._policy.pressure.high is None or engine is None or self._sight.space() is not None:
            return ""
        return (
            f"pressure.high has no effect: the engine's directory {engine.root} cannot be seen from here; "
            "mount it there (read-only), or set pressure.budget"
        )


def _disk_full(plan: Plan) -> str:
    if not plan.pressing or plan.evictions:
        return ""
    shares = {reason: share.bytes for reason, share in totals.by_reason(plan).items() if share.bytes}
    most_first = sorted(shares, key=lambda reason: -shares[reason])
    kept = ", ".join(f"{reason} {units.format_bytes(shares[reason])}" for reason in most_first)
    held = next((f" (held: {item.held_by})" for item in plan.decisions if item.action is Action.EVICT), "")
    return f"{plan.pressure}, and nothing may be evicted now{held}: {kept or 'no image takes any space'}"


def _policy_change(plan: Plan) -> str:
    if not plan.changed:
        return ""
    count, until = len(plan.changed), units.format_time(max(item.due or plan.at for item in plan.changed))
    return (
        f"the policy changed: {count} image{'' if count == 1 else 's'} ({units.format_bytes(plan.changed_bytes)}) "
        f"that only the new one evicts may go from {until}; until then it can be taken back"
    )


def _image_unreadable(plan: Plan) -> str:
    unreadable = sorted((item for item in plan.decisions if item.failure), key=lambda item: item.image.id)
    if not unreadable:
        return ""
    said = [f"{_called(item)} ({item.failure})" for item in unreadable[: names.MOST_LISTED]]
    more = f" and {len(unreadable) - len(said)} more" if len(unreadable) > len(said) else ""
    noun = "image that cannot be judged is" if len(unreadable) == 1 else "images that cannot be judged are"
    return f"{len(unreadable)} {noun} kept: {', '.join(said)}{more}; `torchkeeper explain IMAGE` shows one of them"


def _called(item: Decision) -> str:
    return names.shown(item.image.references[0]) if item.image.references else item.image.id[:19]
