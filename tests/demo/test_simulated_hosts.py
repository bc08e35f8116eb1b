"""The simulated hosts on the page of the demo: as agents would report them, and named as simulated."""

from datetime import timedelta

import pytest

from agent.core.protocol import payloads
from agent.core.protocol.topics import Topics
from agent.demo import monitor, simulated_hosts
from agent.demo.simulated_hosts import HOSTS, SimulatedHost
from agent.fleet.view import FleetView
from tests.support.fakes.broker import FakeBroker
from tests.support.times import START

NAMES = [host.name for host in HOSTS]


def shown() -> FleetView:
    """The fleet as a reader of what they publish finds it."""
    fleet = FleetView("torchkeeper")
    for host in HOSTS:
        for message in (*simulated_hosts.events(host, START), *simulated_hosts.state(host, START)):
            fleet.apply(message.topic, message.payload, START, retained=message.retain)
    return fleet


def test_each_is_named_as_simulated() -> None:
    assert all(name.startswith("simulated-") for name in NAMES)
    assert len(set(NAMES)) == len(NAMES)


def test_they_show_each_state_that_the_page_can_show() -> None:
    rows = {host.name: host.row_at(START) for host in shown().hosts()}
    assert list(rows) == NAMES
    assert [row.state for row in rows.values()] == ["online"] * 5 + ["offline"]
    assert [row.mode for row in rows.values()] == ["enforce"] * 3 + ["observe"] + ["enforce"] * 2
    assert [row.paused for row in rows.values()] == [False] * 4 + [True, False]
    assert [row.criticals for row in rows.values()] == [0, 0, 1, 0, 0, 0]


def test_the_host_that_is_full_may_evict_nothing_and_its_alert_says_what_holds_its_bytes() -> None:
    (host,) = [host for host in shown().hosts() if host.alerts]
    assert host.inventory is not None
    assert host.row_at(START).next_eviction is None
    reasons = {image.reason for image in host.inventory.images}
    (alert,) = host.alerts.values()
    assert reasons == {"in-use", "local-only", "protected-tag"}
    assert all(reason in alert.message for reason in reasons)


def test_of_what_was_evicted_only_the_image_of_one_host_was_pulled_again() -> None:
    again = []
    for host in shown().hosts():
        (simulated,) = [item for item in HOSTS if item.name == host.name]
        gone = {reference for reference, _ in simulated_hosts.evicted(simulated, START)}
        assert host.inventory is not None
        again += [host.name for image in host.inventory.images if gone & set(image.references)]
    assert again == ["simulated-gpu-02"]


@pytest.mark.parametrize("host", HOSTS, ids=NAMES)
def test_each_event_is_that_of_an_agent_numbered_without_a_hole_and_in_the_past(host: SimulatedHost) -> None:
    events = [payloads.decode(payloads.Event, message.payload) for message in simulated_hosts.events(host, START)]
    assert len(events) >= 10
    for number, event in enumerate(events, start=1):
        assert event is not None
        assert payloads.data_of(event) is not None
        assert event.id == f"{host.name}/simulated/{number}"
        assert START - timedelta(days=15) < event.time <= START
    assert not any(message.retain for message in simulated_hosts.events(host, START))


@pytest.mark.parametrize("host", HOSTS, ids=NAMES)
def test_each_decision_has_its_outcome_and_in_observe_mode_nothing_was_removed(host: SimulatedHost) -> None:
    lines = [line for line in shown().decisions() if line.host == host.name]
    outcomes = {line.decision.outcome for line in lines}
    allowed = {"would-remove"} if host.mode == "observe" else {"removed", "refused"}
    assert lines
    assert outcomes <= allowed


async def test_all_of_it_is_published_with_the_status_of_each_host_last() -> None:
    broker = FakeBroker()
    async with broker.connector("simulated")(None) as connection:
        await monitor.publish_all(connection, START)
    for host in HOSTS:
        topics = Topics("torchkeeper", host.name)
        assert {topics.status, topics.info, topics.inventory} <= set(broker.retained)
        own = [topic for topic in broker.retained if f"/{host.name}/" in topic]
        assert own[-1] == topics.status


def test_the_figures_are_the_same_at_each_start() -> None:
    assert shown().decisions() == shown().decisions()
