"""The alerts for messages that cannot be read."""

from datetime import datetime, timedelta

from agent.core.protocol import payloads
from agent.core.protocol.topics import Topics
from agent.fleet.collector.batch import AlertChange
from agent.fleet.collector.undecodable import ALERT, MOST_HOSTS, STANDS_FOR, UndecodableAlerts
from tests.support.messages import topic
from tests.support.times import START

LATER = START + timedelta(minutes=5)


def make_alerts() -> UndecodableAlerts:
    return UndecodableAlerts(Topics("torchkeeper", "+"))


def stands(where: str, at: datetime, since: datetime = START) -> AlertChange:
    message = f"a message on {where} cannot be read and was discarded; is the agent newer than this monitor?"
    alert = payloads.Alert(id=ALERT, severity="warning", message=message, since=since)
    return AlertChange("gpu-07", ALERT, alert, at)


def test_a_message_that_cannot_be_read_is_an_alert_of_its_host_that_names_its_topic() -> None:
    assert make_alerts().changes([topic("events")], START) == [stands(topic("events"), START)]


def test_a_further_one_keeps_the_time_of_the_first_and_names_the_latest_topic() -> None:
    alerts = make_alerts()
    alerts.changes([topic("events")], START)
    found = alerts.changes([topic("events"), topic("info")], LATER)
    assert found == [stands(topic("info"), LATER, since=START)]


def test_the_alert_ends_an_hour_after_the_last_one() -> None:
    alerts = make_alerts()
    alerts.changes([topic("events")], START)
    alerts.changes([topic("events")], LATER)
    assert alerts.changes([], LATER + STANDS_FOR - timedelta(seconds=1)) == []
    assert alerts.changes([], LATER + STANDS_FOR) == [AlertChange("gpu-07", ALERT, None, LATER + STANDS_FOR)]
    assert alerts.changes([], LATER + 2 * STANDS_FOR) == []


def test_a_topic_without_a_host_raises_nothing() -> None:
    assert make_alerts().changes(["torchkeeper/v1/hosts/-/events", "x"], START) == []


def test_invented_hosts_raise_a_bounded_number_of_alerts() -> None:
    topics = [topic("events", f"gpu-{number}") for number in range(MOST_HOSTS + 10)]
    assert len(make_alerts().changes(topics, START)) == MOST_HOSTS
