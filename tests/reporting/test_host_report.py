"""Each alert is one log line when it begins and one when it ends."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.testing import capture_logs

from agent.core.protocol import payloads
from agent.core.protocol.alerts import AlertId
from agent.reporting.host_report import HostReport
from tests.support.times import MINUTE, START

FULL = AlertId.DISK_FULL_NOTHING_EVICTABLE


def lines(*steps: tuple[str, ...]) -> list[MutableMapping[str, Any]]:
    """What is logged when an alert is raised with a message and a severity, or cleared."""
    structlog.reset_defaults()
    report = HostReport()
    with capture_logs() as logged:
        for number, step in enumerate(steps):
            if step[0] == "clear":
                report.clear_alert(FULL)
            else:
                report.raise_alert(FULL, step[0], START + number * MINUTE, step[1])  # type: ignore[arg-type]
    return logged


def began(message: str, severity: str) -> dict[str, str]:
    level = {"warning": "warning", "critical": "error"}[severity]
    fields = {"action": "alert", "state": "began", "alert": FULL.value, "severity": severity}
    return {"event": message, "log_level": level, **fields}


ENDED = {
    "event": "an alert ended",
    "log_level": "info",
    "action": "alert",
    "state": "ended",
    "alert": FULL.value,
    "since": "2026-03-01T12:00:00Z",
}


def test_an_alert_is_logged_when_it_begins_and_when_it_ends() -> None:
    assert lines(("91% full", "critical"), ("clear",)) == [began("91% full", "critical"), ENDED]


def test_an_alert_whose_message_changes_is_not_logged_again() -> None:
    assert lines(("91% full", "warning"), ("92% full", "warning"), ("92% full", "warning")) == [
        began("91% full", "warning")
    ]


def test_an_alert_that_becomes_critical_is_logged_again() -> None:
    logged = lines(("91% full", "warning"), ("91% full", "critical"), ("clear",))
    assert logged == [began("91% full", "warning"), began("91% full", "critical"), ENDED]


def test_an_alert_that_is_not_there_does_not_end() -> None:
    assert lines(("clear",)) == []


async def test_an_alert_that_becomes_critical_is_published_again_with_its_first_time() -> None:
    report = HostReport()
    report.raise_alert(FULL, "91% full", START)
    report.changed.clear()
    report.raise_alert(FULL, "91% full", START + MINUTE, "critical")
    assert report.alerts == {FULL: payloads.Alert(id=FULL, severity="critical", message="91% full", since=START)}
    await asyncio.wait_for(report.changed.wait(), 1)
