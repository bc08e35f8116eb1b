"""One line in the log each day: that all is well, or what is not."""

from datetime import datetime, timedelta

import structlog

from agent.adapters.clock import Clock
from agent.core import text, units
from agent.core.figures import Freed
from agent.core.policy.decision import Action, Plan
from agent.core.policy.disk import DiskUsage
from agent.daemon.build import Components
from agent.daemon.housekeeping import ONE_DAY
from agent.reporting.host_report import HostReport

log = structlog.get_logger()


async def log_daily(components: Components, clock: Clock) -> None:
    """Log the line after the first plan, and then once a day, for ever."""
    await components.host_report.planned.wait()
    while True:
        now = clock.now()
        freed = await components.store.load_freed(now - timedelta(seconds=ONE_DAY))
        _log(components.host_report, components.ingestor.view.space(), freed, now)
        await clock.sleep(ONE_DAY)


def _log(host_report: HostReport, space: DiskUsage | None, freed: Freed, now: datetime) -> None:
    if host_report.plan is None:
        return
    words = [*describe(host_report.plan, space, freed, now)]
    if host_report.pause is not None:
        words.append("paused")
    standing = list(host_report.alerts)
    if standing:
        words.append(f"{len(standing)} alert{'' if len(standing) == 1 else 's'}: {text.listed(standing)}")
    write = log.warning if standing else log.info
    write(", ".join(words), action="summary")


def describe(plan: Plan, space: DiskUsage | None, freed: Freed, now: datetime) -> list[str]:
    """What is on this host, like `9 images`, `0 due`, `disk 33 %`, `freed 125 MB in 24 h`, `next in 3 d`."""
    count, due = len(plan.decisions), sum(item.action is Action.EVICT for item in plan.decisions)
    about = "about " if freed.estimated else ""
    words = [f"{count} image{'' if count == 1 else 's'}", f"{due} due"]
    if space is not None:
        what = "disk" if space.bottleneck == "bytes" else "inodes"
        words.append(f"{what} {space.used_fraction * 100:.0f} %")
    words.append(f"freed {about}{units.format_bytes(freed.bytes)} in 24 h")
    coming = next_eviction(plan)
    if coming is not None:
        words.append(f"next in {units.format_duration(max(coming - now, timedelta()))}")
    if plan.held_by is not None:
        words.append(f"evictions held: {plan.held_by}")
    return words


def next_eviction(plan: Plan) -> datetime | None:
    """When the first kept image will be due; None if none will be."""
    waiting = (item.due for item in plan.decisions if item.action is Action.KEEP and item.due is not None)
    return min(waiting, default=None)
