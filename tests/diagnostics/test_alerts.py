"""`check` fails on critical alerts of the running agent, and believes no file of one that ended."""

from datetime import timedelta
from pathlib import Path

from agent.adapters import alerts_file, lock
from agent.core.protocol.alerts import AlertId
from agent.core.protocol.payloads import Alert
from agent.diagnostics import alerts
from agent.diagnostics.check import Check
from tests.support.times import HOUR, START

NOW = START + HOUR
FULL = Alert(id=AlertId.DISK_FULL_NOTHING_EVICTABLE, severity="critical", message="disk 91% full", since=START)
PATTERN = Alert(id=AlertId.PATTERN_MATCHES_NOTHING, severity="warning", message="'latest' matches nothing", since=NOW)


def judged(*standing: Alert, age: float = 0.0) -> Check:
    at = NOW - timedelta(seconds=age)
    return alerts.judge(alerts_file.Standing(at=at, alerts=list(standing)), NOW)


def test_no_alert_is_fine() -> None:
    assert judged() == Check("alerts", True, "none")


def test_a_warning_is_listed_and_fails_nothing() -> None:
    detail = "warning pattern-matches-nothing for 0 s: 'latest' matches nothing"
    assert judged(PATTERN) == Check("alerts", True, detail)


def test_a_critical_alert_fails_and_comes_first() -> None:
    assert judged(PATTERN, FULL) == Check(
        "alerts",
        False,
        "critical disk-full-nothing-evictable for 1 h: disk 91% full; "
        "warning pattern-matches-nothing for 0 s: 'latest' matches nothing",
        "torchkeeper plan shows what keeps each image, and why",
    )


def test_an_agent_that_does_not_write_its_alerts_hangs() -> None:
    assert judged(age=alerts_file.STALE).ok
    found = judged(age=alerts_file.STALE + 60)
    assert (found.ok, "has not written its alerts for 5 min: it hangs" in found.detail) == (False, True)


def test_an_agent_that_has_just_started_has_not_reported_any() -> None:
    assert alerts.judge(None, NOW).ok


def test_the_file_of_an_agent_that_was_killed_counts_for_nothing(tmp_path: Path) -> None:
    alerts_file.save(tmp_path, alerts_file.Standing(at=NOW, alerts=[FULL]))
    assert alerts.check_alerts(tmp_path) == [Check("alerts", True, "no agent runs here, so there are none")]


def test_the_file_of_a_running_agent_counts(tmp_path: Path) -> None:
    alerts_file.save(tmp_path, alerts_file.Standing(at=NOW, alerts=[FULL]))
    with lock.locked(tmp_path):
        (found,) = alerts.check_alerts(tmp_path)
    assert (found.name, found.ok) == ("alerts", False)


def test_a_file_that_cannot_be_read_as_alerts_is_none(tmp_path: Path) -> None:
    (tmp_path / alerts_file.FILE).write_text('{"at": 3')
    with lock.locked(tmp_path):
        (found,) = alerts.check_alerts(tmp_path)
    assert (found.ok, found.detail) == (True, alerts.judge(None, NOW).detail)
