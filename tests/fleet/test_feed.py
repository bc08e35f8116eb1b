"""From a broker into a view: on the fake, and on mosquitto."""

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from agent.adapters.clock import SystemClock
from agent.adapters.mqtt import broker
from agent.adapters.mqtt.broker import Message
from agent.config import sections
from agent.core.protocol.topics import Topics
from agent.fleet import feed as collector
from agent.fleet.feed import Feed
from agent.fleet.view import FleetView
from tests.support.fakes.broker import FakeBroker
from tests.support.fakes.clock import FakeClock
from tests.support.messages import (
    make_alert,
    make_decision,
    make_info,
    make_inventory,
    make_inventory_image,
    make_status,
    topic,
)
from tests.support.mosquitto import Mosquitto
from tests.support.proc import PATIENCE
from tests.support.times import START

QUIET = 0.02  # seconds; nothing is on its way in a broker in memory


def fill(server: FakeBroker, *hosts: str) -> None:
    for host in hosts:
        server.retained[topic("status", host)] = make_status().encode()
        server.retained[topic("inventory", host)] = make_inventory(make_inventory_image(), host=host).encode()


def names(view: FleetView | None) -> list[str]:
    return [host.name for host in view.hosts()] if view else []


async def until(true: Callable[[], object], clock: FakeClock) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await clock.advance(0.5)
            await asyncio.sleep(0.002)


async def test_a_snapshot_has_all_that_is_retained() -> None:
    server = FakeBroker()
    fill(server, "a", "b")
    server.retained[topic("alerts/disk", "a")] = make_alert().encode()
    view = await collector.snapshot(server.collector_connector("viewer"), "torchkeeper", FakeClock(), QUIET)
    assert [(host.name, host.summary.images, list(host.alerts)) for host in view.hosts()] == [
        ("a", 1, ["disk"]),
        ("b", 1, []),
    ]
    assert view.hosts()[0].last_seen == START


async def test_a_snapshot_of_a_broker_without_agents_is_empty() -> None:
    view = await collector.snapshot(FakeBroker().collector_connector("viewer"), "torchkeeper", FakeClock(), QUIET)
    assert view.hosts() == []


async def test_a_snapshot_ends_although_a_large_fleet_is_never_quiet() -> None:
    server = FakeBroker()

    async def chatter() -> None:
        while True:
            server.route(Message(topic("status"), make_status().encode(), retain=True))
            await asyncio.sleep(0.005)

    chattering = asyncio.create_task(chatter())
    async with asyncio.timeout(PATIENCE):
        view = await collector.snapshot(
            server.collector_connector("viewer"), "torchkeeper", FakeClock(), quiet=0.1, longest=0.2
        )
    chattering.cancel()
    assert names(view) == ["gpu-07"]


async def test_a_snapshot_that_fails_names_the_reason() -> None:
    server = FakeBroker()
    connect = server.collector_connector("viewer")
    server.unreadable.add("torchkeeper/v1/hosts/+/status")
    with pytest.raises(broker.SubscribeRefused):
        await collector.snapshot(connect, "torchkeeper", FakeClock(), QUIET)
    server.login_refused = True
    with pytest.raises(broker.LoginRefused):
        await collector.snapshot(connect, "torchkeeper", FakeClock(), QUIET)
    server.stop()
    with pytest.raises(broker.BrokerUnavailable):
        await collector.snapshot(connect, "torchkeeper", FakeClock(), QUIET)


async def test_a_connection_that_is_lost_while_it_settles_is_an_error_and_no_half_view() -> None:
    server, clock = FakeBroker(), FakeClock()
    asking = asyncio.create_task(
        collector.snapshot(server.collector_connector("viewer"), "torchkeeper", clock, quiet=PATIENCE)
    )
    await clock.advance()  # until it has subscribed, and waits for more
    server.cut("viewer")
    with pytest.raises(broker.BrokerUnavailable):
        await asking


async def test_a_feed_follows_the_fleet_and_outlives_the_broker() -> None:
    server, clock = FakeBroker(), FakeClock()
    fill(server, "a", "gone")
    feed = Feed(server.collector_connector("viewer"), "torchkeeper", clock, QUIET)
    running = asyncio.create_task(feed.run())
    await until(lambda: names(feed.view) == ["a", "gone"], clock)
    server.route(Message(topic("status", "b"), make_status().encode(), retain=True))
    server.route(Message(topic("events", "a"), make_decision().encode()))
    await until(lambda: names(feed.view) == ["a", "b", "gone"], clock)
    await until(lambda: feed.view and feed.view.decisions() and not server.unacknowledged("viewer"), clock)
    server.stop()
    await until(lambda: feed.error == "fake: down", clock)
    assert names(feed.view) == ["a", "b", "gone"]
    fill(server, "a")
    server.start()
    await until(lambda: names(feed.view) == ["a"], clock)
    assert feed.error == ""
    assert feed.view is not None
    assert [line.host for line in feed.view.decisions()] == ["a"]
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_feed_whose_first_connection_fails_says_so_at_once() -> None:
    server = FakeBroker()
    server.login_refused = True
    with pytest.raises(broker.LoginRefused):
        await Feed(server.collector_connector("viewer"), "torchkeeper", FakeClock(), QUIET).run()


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_a_fresh_view_of_many_hosts_is_complete_on_mosquitto(broker: Mosquitto, version: str) -> None:
    count = 300
    connect = connector(broker, version)
    async with connect(None) as connection:
        for number in range(count):
            for rest, payload in (
                ("status", make_status().encode()),
                ("inventory", make_inventory().encode()),
                ("info", make_info().encode()),
            ):
                await connection.publish(topic(rest, f"gpu-{number:03}"), payload, retain=True)
    view = await collector.snapshot(viewer(broker, version), "torchkeeper", SystemClock(), quiet=0.001)
    assert len(view.hosts()) == count
    assert all(host.status and host.summary.images == 0 and host.row.mode for host in view.hosts())


async def test_a_host_whose_agent_is_cut_off_is_offline_in_the_next_snapshot(broker: Mosquitto) -> None:
    connect = connector(broker, "5")
    will = Message(topic("status"), make_status("offline", session=7).encode(), retain=True)
    async with connect(will) as first:
        await first.publish(topic("status"), make_status(session=7).encode(), retain=True)
        before = await collector.snapshot(viewer(broker, "5"), "torchkeeper", SystemClock())
        async with connect(None):  # the same client id: the broker drops the first one
            after = await collector.snapshot(viewer(broker, "5"), "torchkeeper", SystemClock())
    now = SystemClock().now()
    assert [host.status and host.status.state for host in before.hosts()] == ["online"]
    assert [host.state(now) for host in after.hosts()] == ["offline"]


def connector(server: Mosquitto, version: str) -> broker.Connect:
    return partial(broker.connect, broker.options(mqtt_of(server, version), "agent"))


def viewer(server: Mosquitto, version: str) -> broker.ConnectCollector:
    return broker.viewer_connector(mqtt_of(server, version), answer_timeout=PATIENCE)


def mqtt_of(server: Mosquitto, version: str) -> sections.Mqtt:
    return sections.Mqtt.model_validate({"url": server.url, "version": version})


async def test_the_topics_asked_for_are_those_of_the_wire() -> None:
    """`+` in place of the host, so that the collector and the agents cannot drift apart."""
    topics = Topics("p", "+")
    asked = {f"p/v1/hosts/+/{rest}" for rest in collector.TOPICS}
    assert asked == {topics.status, topics.info, topics.inventory, topics.alert("+"), topics.events}
