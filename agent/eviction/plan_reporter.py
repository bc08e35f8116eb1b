"""Reports a plan: the inventory, and alerts about the disk, the policy, evictions and images."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Literal

from agent.adapters.sqlite.store import Store
from agent.core import text, units
from agent.core.policy import totals
from agent.core.policy.decision import Action, Decision, HeldBy, Plan
from agent.core.policy.settings import Policy
from agent.core.protocol import new_events, payloads
from agent.core.protocol.alerts import AlertId
from agent.core.protocol.inventory import InventoryBuilder
from agent.reporting.host_report import HostReport
from agent.reporting.pending_inventory import PendingInventory
from agent.tracking.engine_view import EngineView

REMOVED_ANOTHER_STANDS = timedelta(days=7)  # after the eviction; the agent cannot know when somebody has fixed it


class PlanReporter:
    """Publishes plans in the host report."""

    def __init__(self, host_report: HostReport, view: EngineView, store: Store, policy: Policy) -> None:
        self._host_report = host_report
        self._view = view
        self._store = store
        self._policy = policy
        self._builder = InventoryBuilder()
        self._building = asyncio.Lock()

    def take(self, policy: Policy) -> None:
        """Report later plans as made by another policy."""
        self._policy = policy

    async def show(self, plan: Plan) -> None:
        """Update the inventory and the alerts from a plan."""
        if plan.held_by is not HeldBy.UNPROVEN:  # that is temporary, and is not about the disk
            self._alert(AlertId.DISK_FULL_NOTHING_EVICTABLE, disk_full(plan), plan, "critical")
        self._alert(AlertId.PRESSURE_UNSEEN, self._disk_unseen(), plan)
        self._alert(AlertId.POLICY_CHANGE, _policy_change(plan), plan)
        self._alert(AlertId.IMAGE_UNREADABLE, _image_unreadable(plan), plan)
        taken = await self._store.load_also_removed(plan.at - REMOVED_ANOTHER_STANDS)
        self._alert(AlertId.REMOVED_ANOTHER_IMAGE, _removed_another(taken), plan, "critical")
        self._host_report.show_plan(plan)
        actions = {item.image.id: item.action.value for item in plan.decisions}
        build = partial(self._build_inventory, plan, self._disk(plan))
        self._host_report.show_inventory(PendingInventory(actions, build))

    async def _build_inventory(self, plan: Plan, disk: payloads.Disk) -> payloads.Inventory:
        last = await self._store.load_last_decisions(payloads.LAST_DECISIONS)
        async with self._building:  # in a thread, one after the other
            return await asyncio.to_thread(self._builder.build, plan, self._store.host, disk, last)

    def _alert(
        self, alert_id: AlertId, message: str, plan: Plan, severity: Literal["warning", "critical"] = "warning"
    ) -> None:
        if message:
            self._host_report.raise_alert(alert_id, message, plan.at, severity)
        else:
            self._host_report.clear_alert(alert_id)

    def _disk(self, plan: Plan) -> payloads.Disk:
        space = self._view.space()
        return payloads.Disk(
            total_bytes=space.usable_bytes if space else None,
            used_bytes=space.used_bytes if space else None,
            images_bytes=sum(item.image.size_bytes for item in plan.decisions),
            reclaimable_bytes=plan.estimated_bytes,
        )

    def _disk_unseen(self) -> str:
        engine = self._view.engine
        if self._policy.pressure.high is None or engine is None or self._view.space() is not None:
            return ""
        return (
            f"pressure.high has no effect: the engine's directory {engine.root} cannot be seen from here; "
            "mount it there (read-only), or set pressure.budget"
        )


def disk_full(plan: Plan) -> str:
    """The alert text if the disk is full and nothing may be evicted; "" if that is not so."""
    if not plan.under_pressure or plan.evictions:
        return ""
    shares = {reason: share.bytes for reason, share in totals.by_reason(plan).items() if share.bytes}
    most_first = sorted(shares, key=lambda reason: -shares[reason])
    kept = ", ".join(f"{reason} {units.format_bytes(shares[reason])}" for reason in most_first)
    held = next((f" (held: {item.held_by})" for item in plan.decisions if item.action is Action.EVICT), "")
    return f"{plan.pressure}, and nothing may be evicted now{held}: {kept or 'no image takes any space'}"


def _policy_change(plan: Plan) -> str:
    if not plan.deferred:
        return ""
    count, until = len(plan.deferred), units.format_time(max(item.due or plan.at for item in plan.deferred))
    return (
        f"the policy changed: {count} image{'' if count == 1 else 's'} ({units.format_bytes(plan.deferred_bytes)}) "
        f"that only the new one evicts may go from {until}; until then it can be taken back"
    )


def _image_unreadable(plan: Plan) -> str:
    unreadable = sorted((item for item in plan.decisions if item.failure), key=lambda item: item.image.id)
    if not unreadable:
        return ""
    listed = [f"{_called(item)} ({item.failure})" for item in unreadable[: text.MOST_LISTED]]
    more = f" and {len(unreadable) - len(listed)} more" if len(unreadable) > len(listed) else ""
    noun = "image that cannot be judged is" if len(unreadable) == 1 else "images that cannot be judged are"
    return f"{len(unreadable)} {noun} kept: {', '.join(listed)}{more}; `torchkeeper explain IMAGE` shows one of them"


def _called(item: Decision) -> str:
    return text.shown(item.image.standalone[0]) if item.image.standalone else item.image.id[:19]


def _removed_another(outcomes: Sequence[payloads.Event]) -> str:
    """The alert text about other images that evictions removed, latest first, and how to get them back."""
    if not outcomes:
        return ""
    ends = units.format_time(outcomes[0].time + REMOVED_ANOTHER_STANDS)
    return "; ".join([*map(_taken_with, outcomes), f"this alert ends by itself at {ends}"])


def _taken_with(event: payloads.Event) -> str:
    outcome = payloads.OutcomeData.model_validate(event.data)
    what, back = ", ".join(outcome.also_removed), new_events.pull_again(outcome.also_removed)
    return (
        f"the eviction of {' '.join(outcome.image.references) or outcome.image.id} at {units.format_time(event.time)} "
        f"also removed {what} (the engine has no lock: a name may pass to another image in that moment); "
        f"to bring it back: {back or 'pull, build, load or tag it again'}"
    )
