"""The check of the alerts that stand on the running agent."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent.adapters import alerts_file, lock
from agent.adapters.sqlite import state_dir
from agent.adapters.state_errors import StateError
from agent.core import units
from agent.core.protocol.alerts import AlertId
from agent.core.protocol.payloads import Alert
from agent.diagnostics.check import Check

_HINTS = {
    AlertId.DISK_FULL_NOTHING_EVICTABLE: "torchkeeper plan shows what keeps each image, and why",
    AlertId.ENGINE_DOWN: "start the engine, or correct docker.url",
    AlertId.HOLDS_UNREADABLE: "correct the file with the pins",
    AlertId.OUTBOX_BEHIND: "find out whether the state of this host was restored, or a copy of it runs elsewhere",
    AlertId.REMOVED_ANOTHER_IMAGE: "bring the other image back as the alert says",
    AlertId.STATE_DAMAGED: "history and usage begin anew; the damaged file is beside it",
    AlertId.STATE_FULL: "free room on the disk of the state folder",
}


def check_alerts(configured: Path) -> list[Check]:
    """The standing alerts of the agent on this folder: critical ones fail. Empty if its own check says why.

    Without an agent nobody raises alerts: a file that is left is that of one that was killed.
    """
    try:
        folder = state_dir.place_to_look_at(configured).folder
    except StateError:
        return []
    if not lock.busy(folder):
        return [Check("alerts", True, "no agent runs here, so there are none")]
    try:
        standing = alerts_file.load(folder)
    except OSError as error:
        hint = "run this as the agent's user"
        return [Check("alerts", False, f"{folder / alerts_file.FILE}: {error.strerror}", hint)]
    return [judge(standing, datetime.now(UTC))]


def judge(standing: alerts_file.Standing | None, now: datetime) -> Check:
    """The check of the alerts of a running agent, as it last wrote them."""
    if standing is None:
        return Check("alerts", True, "none is reported yet: the agent has just started, or a sweep runs")
    age = now - standing.at
    if age > timedelta(seconds=alerts_file.STALE):
        detail = f"the agent has not written its alerts for {units.format_duration(age)}: it hangs, or its disk is full"
        return Check("alerts", False, detail, "see the last lines of its log, and restart it")
    if not standing.alerts:
        return Check("alerts", True, "none")
    ordered = sorted(standing.alerts, key=lambda alert: (alert.severity != "critical", alert.since, alert.id))
    critical = [alert for alert in ordered if alert.severity == "critical"]
    detail = "; ".join(_described(alert, now) for alert in ordered)
    hints = [_HINTS[alert.id] for alert in critical if alert.id in _HINTS]  # type: ignore[index]  # a StrEnum is a str
    return Check("alerts", not critical, detail, "; ".join(hints))


def _described(alert: Alert, now: datetime) -> str:
    since = units.format_duration(max(now - alert.since, timedelta()))
    return f"{alert.severity} {alert.id} for {since}: {alert.message}"
