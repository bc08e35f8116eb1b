"""The publisher against the fake broker and a real state file; the last tests are on mosquitto."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise
from typing import Any, Literal

import aiomqtt
import pytest
import structlog
from structlog.testing import capture_logs

from agent.adapters.mqtt import broker
from agent.adapters.mqtt.broker import Message
from agent.adapters.outbox import OutboxRow
from agent.core.protocol import payloads
from agent.core.protocol.alerts import AlertId
from agent.core.protocol.topics import PROBE
from agent.daemon import build
from agent.reporting import outbox_sender, poison, publisher, rejection
from agent.reporting.pending_inventory import PendingInventory
from agent.reporting.timing import ReportingTiming
from tests.support import mosquitto
from tests.support.messages import make_info, make_inventory, make_status
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import make_options
from tests.support.proc import PATIENCE, eventually_async
from tests.support.publishing import (
    AGENT_ID,
    CLIENT_ID,
    TOPICS,
    PublisherRig,
    on_mosquitto,
    without_repeats,
)
from tests.support.times import START


async def test_birth_publishes_everything_retained(rig: PublisherRig) -> None:
    rig.host_report.show_info(make_info())
    rig.host_report.show_inventory(PendingInventory.of(make_inventory()))
    rig.host_report.raise_alert(AlertId.STATE_FULL, "nearly full", START)
    async with rig.running():
        await rig.settle()
        assert rig.server.retained[TOPICS.info] == make_info().encode()
        assert rig.server.retained[TOPICS.inventory] == make_inventory().encode()
        assert rig.server.retained[TOPICS.alert("state-full")] == rig.host_report.alerts["state-full"].encode()
        assert rig.retained() == {"status", "info", "inventory", "alerts/state-full"}


async def test_the_will_bears_the_session_of_the_birth_and_each_connection_has_its_own(rig: PublisherRig) -> None:
    async with rig.running():
        rig.server.cut(CLIENT_ID)
        await rig.until(rig.online, tick=1)
        (born, first), (dead, same), (again, second) = rig.statuses()
    assert (born, dead, again) == ("online", "offline", "online")
    assert first == same != second


async def test_everything_retained_comes_again_after_the_broker_forgot_it(rig: PublisherRig) -> None:
    rig.host_report.show_info(make_info())
    rig.host_report.show_inventory(PendingInventory.of(make_inventory()))
    rig.host_report.raise_alert(AlertId.STATE_FULL, "nearly full", START)
    async with rig.running():
        await rig.settle()
        rig.server.stop()
        await rig.clock.advance(30)
        rig.server.start()
        await rig.until(lambda: rig.retained() == {"status", "info", "inventory", "alerts/state-full"}, tick=1)


async def test_status_is_reported_every_minute(rig: PublisherRig) -> None:
    async with rig.running():
        await rig.clock.advance(59)
        assert len(rig.statuses()) == 1
        await rig.clock.advance(121)
        assert len(rig.statuses()) == 4
        status = payloads.decode(payloads.Status, rig.payloads(TOPICS.status)[-1])
        assert status is not None
        assert status.at == rig.clock.now()


@pytest.mark.parametrize(
    "payload", [make_status("offline").encode(), make_status("offline", agent_id=AGENT_ID).encode(), b""]
)
async def test_a_late_will_or_a_cleared_status_is_answered_with_online_once(rig: PublisherRig, payload: bytes) -> None:
    async with rig.running():
        await rig.settle()
        rig.server.route(Message(TOPICS.status, payload, retain=True))
        await rig.clock.advance(1)
        assert rig.online()
        assert [state for state, _ in rig.statuses()].count("online") == 2
        assert rig.host_report.alerts == {}


async def test_late_wills_that_come_all_the_time_are_answered_once_a_second(rig: PublisherRig) -> None:
    async with rig.running():
        await rig.settle()
        for _ in range(500):
            rig.server.route(Message(TOPICS.status, make_status("offline").encode(), retain=True))
            await rig.clock.advance(0.02)
        await rig.clock.advance(2)
        assert rig.online()
        assert 8 <= [state for state, _ in rig.statuses()].count("online") <= 13


async def test_a_message_on_another_topic_is_not_taken_for_its_own_status(rig: PublisherRig) -> None:
    async with rig.running():
        rig.server.subscribe(CLIENT_ID, TOPICS.inventory)  # as amqtt does: it sends what nobody asked for
        rig.server.route(Message(TOPICS.inventory, b""))
        await rig.clock.advance(5)
        assert [state for state, _ in rig.statuses()] == ["online"]


@pytest.mark.parametrize("payload", [b"not json", b'{"state": "dancing"}'])
async def test_rubbish_on_the_status_topic_is_ignored(rig: PublisherRig, payload: bytes) -> None:
    async with rig.running():
        await rig.settle()
        rig.server.route(Message(TOPICS.status, payload, retain=True))
        await rig.clock.advance(1)
        assert len(rig.statuses()) == 1


async def test_a_second_agent_of_this_name_is_an_alert_for_as_long_as_it_is_heard(rig: PublisherRig) -> None:
    async with rig.running():
        await rig.settle()
        for _ in range(3):
            rig.server.route(Message(TOPICS.status, make_status(session=5).encode(), retain=True))
            await rig.clock.advance(60)
            assert "alerts/two-agents" in rig.retained()
        await rig.clock.advance(60)
        assert "alerts/two-agents" in rig.retained()
        await rig.clock.advance(120)
        assert "alerts/two-agents" not in rig.retained()
        assert rig.host_report.alerts == {}


async def test_a_clone_that_takes_the_connection_over_is_an_alert(rig: PublisherRig) -> None:
    async with rig.running():
        await rig.clock.advance(5)
        will = Message(
            TOPICS.status, make_status("offline", 5, at=rig.clock.now(), agent_id=AGENT_ID).encode(), retain=True
        )
        async with rig.server.connect(CLIENT_ID, will):
            await rig.until(lambda: "two-agents" in rig.host_report.alerts, tick=1)


@pytest.mark.parametrize("age", [timedelta(days=1), timedelta(days=-1)])  # also by a clock that was ahead
async def test_the_status_of_a_former_run_is_not_taken_for_a_second_agent(rig: PublisherRig, age: timedelta) -> None:
    rig.server.stop()
    left = make_status("online", session=5, agent_id=AGENT_ID, at=START - age).encode()
    running = asyncio.create_task(rig.make().run())
    await rig.clock.advance(300)
    rig.server.start()
    rig.server.retained[TOPICS.status] = left
    await rig.until(lambda: len(rig.statuses()) == 1, tick=1)
    await rig.settle()
    assert rig.host_report.alerts == {}
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_broker_that_was_restored_from_an_old_state_shows_no_second_agent(rig: PublisherRig) -> None:
    async with rig.running():
        rig.server.stop()
        rig.server.retained[TOPICS.status] = make_status(
            "online", 5, at=START - timedelta(days=1), agent_id=AGENT_ID
        ).encode()
        rig.server.start()
        await rig.until(lambda: len(rig.statuses()) == 2, tick=1)
        await rig.settle()
        assert rig.host_report.alerts == {}


async def test_inventories_are_coalesced_and_the_latest_wins(rig: PublisherRig) -> None:
    async with rig.running():
        for number in range(20):
            rig.host_report.show_inventory(PendingInventory.of(make_inventory(left_out=number)))
            await rig.clock.advance(0.5)
        await rig.clock.advance(2)
        published = rig.payloads(TOPICS.inventory)
        assert published[-1] == make_inventory(left_out=19).encode()
        assert 5 <= len(published) <= 6


async def test_unchanged_values_are_not_published_again(rig: PublisherRig) -> None:
    rig.host_report.show_info(make_info())
    rig.host_report.raise_alert(AlertId.STATE_FULL, "nearly full", START)
    async with rig.running():
        rig.host_report.show_inventory(PendingInventory.of(make_inventory()))
        await rig.clock.advance(10)
        assert len(rig.payloads(TOPICS.info)) == len(rig.payloads(TOPICS.alert("state-full"))) == 1


async def test_an_alert_that_is_over_is_cleared_on_the_broker(rig: PublisherRig) -> None:
    rig.host_report.raise_alert(AlertId.STATE_FULL, "nearly full", START)
    async with rig.running():
        await rig.until(lambda: "alerts/state-full" in rig.retained())
        rig.host_report.clear_alert(AlertId.STATE_FULL)
        await rig.clock.advance(5)
        assert "alerts/state-full" not in rig.retained()


async def test_an_alert_that_ends_while_the_broker_is_away_is_cleared_when_it_is_back(rig: PublisherRig) -> None:
    rig.host_report.raise_alert(AlertId.STATE_FULL, "nearly full", START)
    async with rig.running():
        await rig.until(lambda: "alerts/state-full" in rig.retained())
        rig.server.cut(CLIENT_ID)
        rig.host_report.clear_alert(AlertId.STATE_FULL)
        await rig.until(lambda: "alerts/state-full" not in rig.retained(), tick=1)


async def test_alerts_of_a_former_run_are_cleared_unless_they_are_raised_again(rig: PublisherRig) -> None:
    rig.server.retained |= {TOPICS.alert(alert): b"{}" for alert in AlertId}
    rig.host_report.raise_alert(AlertId.STATE_FULL, "nearly full", START)
    async with rig.running():
        await rig.settle()
        assert rig.retained() == {"status", "alerts/state-full"}
        assert rig.server.retained[TOPICS.alert("state-full")] == rig.host_report.alerts["state-full"].encode()


async def test_events_are_sent_in_order_and_are_retired(rig: PublisherRig) -> None:
    await rig.add(50)
    async with rig.running():
        await rig.until(lambda: len(rig.sent()) == 50)
        await rig.add(3)
        await rig.until(lambda: len(rig.sent()) == 53)
        await rig.settle()
        assert rig.sent() == list(range(1, 54))
        assert await rig.waiting() == []


class HeldFirst:
    """A connection that acknowledges all but the first row, until the test releases it."""

    peer = "held"
    certificate_expires = None

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.release = asyncio.Event()

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        seq = json.loads(payload)["data"]["seq"]
        self.seen.append(seq)
        if seq == 1:
            await self.release.wait()

    async def subscribe(self, topic: str, qos: Literal[0, 1] = 1) -> None:
        raise AssertionError("not asked for")

    def messages(self) -> AsyncIterator[Message]:
        raise AssertionError("not asked for")


@asynccontextmanager
async def sending(rig: PublisherRig, connection: broker.Connection) -> AsyncIterator[None]:
    """A sender on one connection, which is lost at the end."""
    events = build.make_sender(rig.store, TOPICS.events, rig.host_report, rig.clock)
    running = asyncio.create_task(events.run(connection))
    try:
        yield
    finally:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await events.connection_lost()


async def test_a_row_is_not_retired_before_all_rows_before_it(rig: PublisherRig) -> None:
    await rig.add(5)
    connection = HeldFirst()
    async with sending(rig, connection):
        await rig.until(lambda: connection.seen == [1, 2, 3, 4, 5])
        await rig.settle()
        assert await rig.waiting() == [1, 2, 3, 4, 5]
        connection.release.set()
        await rig.settle()
        assert await rig.waiting() == []


async def test_no_more_than_a_window_is_in_flight_and_the_next_connection_starts_at_its_first_row(
    rig: PublisherRig,
) -> None:
    await rig.add(outbox_sender.WINDOW + 10)
    first, second = HeldFirst(), HeldFirst()
    async with sending(rig, first):
        await rig.until(lambda: len(first.seen) == outbox_sender.WINDOW)
        await rig.settle()
        assert first.seen == list(range(1, outbox_sender.WINDOW + 1))
    second.release.set()
    async with sending(rig, second):
        await rig.until(lambda: len(second.seen) == outbox_sender.WINDOW + 10)
        await rig.settle()
        assert second.seen == list(range(1, outbox_sender.WINDOW + 11))
        assert await rig.waiting() == []


async def test_an_empty_outbox_is_not_asked_again_until_a_row_is_added(
    rig: PublisherRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    unsent = rig.store.unsent

    async def counted(after: int, limit: int) -> list[OutboxRow]:
        asked.append(after)
        return await unsent(after, limit)

    monkeypatch.setattr(rig.store, "unsent", counted)
    await rig.add(1)
    async with rig.running():
        await rig.until(lambda: asked == [0, 1])
        for _ in range(20):
            await rig.clock.advance(1)
            await asyncio.sleep(0.002)
        assert asked == [0, 1]
        await rig.add(1)
        await rig.until(lambda: asked == [0, 1, 1, 2])


def is_event(number: int) -> Callable[[Message], bool]:
    tail = b'"seq":%d}}' % number
    return lambda message: message.topic == TOPICS.events and message.payload.endswith(tail)


async def test_a_row_that_ends_the_connection_is_set_aside_and_the_others_arrive_in_order(rig: PublisherRig) -> None:
    rig.server.poison = is_event(7)
    await rig.add(40)
    async with rig.running(tick=5):
        await rig.until(lambda: 41 in rig.sent(), tick=5)
        await rig.settle()
        # the last one is the `dropped` event about number 7
        assert without_repeats(rig.sent()) == [number for number in range(1, 42) if number != 7]
        assert await rig.waiting() == []
        assert (
            "the last is number 7: 5 connections ended while it was sent"
            in rig.host_report.alerts["outbox-poison"].message
        )
        assert rig.server.connects == poison.BREAKS + 2  # after the first break the row is not known


async def test_a_row_that_is_refused_is_set_aside_and_the_others_arrive(
    rig: PublisherRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.add(30)
    take = rig.server.take

    def refuse(client: Any, message: Message) -> None:
        if is_event(7)(message):
            raise broker.PublishRefused(broker.PACKET_TOO_LARGE, "too large")
        take(client, message)

    monkeypatch.setattr(rig.server, "take", refuse)
    async with rig.running():
        await rig.until(lambda: 31 in rig.sent())
        await rig.settle()
        assert rig.sent() == [
            number for number in range(1, 32) if number != 7
        ]  # the last one is the `dropped` event about number 7
        assert await rig.waiting() == []
        assert "the last is number 7: [code:149] too large" in rig.host_report.alerts["outbox-poison"].message


async def test_a_denied_topic_costs_no_event_and_heals_when_the_acl_does(rig: PublisherRig) -> None:
    rig.server.denied[TOPICS.events] = broker.NOT_AUTHORIZED
    await rig.add(30)
    async with rig.running():
        await rig.until(lambda: "alerts/events-denied" in rig.retained())
        assert len(await rig.waiting()) == 30
        for _ in range(2 * poison.BREAKS):
            rig.server.cut(CLIENT_ID)
            await rig.until(rig.online, tick=5)
        rig.server.denied.clear()
        await rig.until(lambda: len(rig.sent()) == 30, tick=10)
        await rig.until(lambda: "alerts/events-denied" not in rig.retained(), tick=1)
        assert rig.sent() == list(range(1, 31))
        assert set(rig.host_report.alerts) == set()


async def test_connections_that_end_by_themselves_set_no_row_aside(rig: PublisherRig) -> None:
    async with rig.running():
        for number in range(2 * poison.BREAKS):
            await rig.add(1)
            await rig.until(lambda number=number: number + 1 in rig.sent())  # type: ignore[misc]
            rig.server.cut(CLIENT_ID)
            await rig.until(rig.online, tick=5)
        assert without_repeats(rig.sent()) == list(range(1, 2 * poison.BREAKS + 1))
        assert rig.host_report.alerts == {}


async def test_a_broker_that_dies_again_and_again_with_a_row_in_flight_sets_none_aside(rig: PublisherRig) -> None:
    rig.server.withheld.add(TOPICS.events)
    await rig.add(30)
    async with rig.running():
        for number in range(4 * poison.BREAKS):
            if number < poison.STEADY_AFTER:
                await rig.until(lambda: rig.server.published[-1].topic == TOPICS.events)
            rig.server.cut(CLIENT_ID)
            await rig.until(rig.online, tick=5)
        rig.server.withheld.clear()
        await rig.until(lambda: 30 in rig.sent(), tick=5)
        await rig.until(rig.is_empty)
        assert without_repeats(rig.sent()) == list(range(1, 31))
        assert rig.host_report.alerts == {}


async def test_a_connection_gets_a_suspected_row_only_after_it_lasted_for_a_while(rig: PublisherRig) -> None:
    rig.server.withheld.add(TOPICS.events)
    await rig.add(1)
    async with rig.running():
        for number in range(poison.STEADY_AFTER):
            await rig.until(lambda number=number: len(rig.sent()) == number + 1)  # type: ignore[misc]
            rig.server.cut(CLIENT_ID)
            await rig.until(rig.online, tick=0.1)
        await rig.clock.advance(rejection.STEADY - 1)
        await rig.settle()
        assert rig.sent() == [1] * poison.STEADY_AFTER
        await rig.clock.advance(1)
        await rig.until(lambda: len(rig.sent()) == poison.STEADY_AFTER + 1)


async def test_a_row_that_is_denied_ended_no_connection_and_is_not_suspected(rig: PublisherRig) -> None:
    rig.server.withheld.add(TOPICS.events)
    await rig.add(1)
    async with rig.running():
        for number in range(2 * poison.BREAKS - 2):
            if number == poison.BREAKS - 1:
                rig.server.denied[TOPICS.events] = broker.NOT_AUTHORIZED
                await rig.until(lambda: "events-denied" in rig.host_report.alerts, tick=1)
                rig.server.denied.clear()
            await rig.until(lambda number=number: len(rig.sent()) == number + 1, tick=5)  # type: ignore[misc]
            rig.server.cut(CLIENT_ID)
            await rig.until(rig.online, tick=1)
        assert await rig.waiting() == [1]


async def test_a_row_that_was_acknowledged_just_before_the_connection_ended_is_not_blamed(rig: PublisherRig) -> None:
    await rig.add(1)
    events = build.make_sender(rig.store, TOPICS.events, rig.host_report, rig.clock)
    for _ in range(poison.BREAKS):
        connection = HeldFirst()
        running = asyncio.create_task(events.run(connection))
        await rig.until(lambda connection=connection: connection.seen, tick=5)  # type: ignore[misc]
        connection.release.set()
        await asyncio.sleep(0)  # so that the row has its answer, and the sender has not looked yet
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await events.connection_lost()
    assert await rig.waiting() == [1]
    assert rig.host_report.alerts == {}


async def test_a_stop_says_offline_with_the_session_of_the_birth_and_once(rig: PublisherRig) -> None:
    async with rig.running():
        pass
    (born, session), (gone, same) = rig.statuses()
    assert (born, gone) == ("online", "offline")
    assert session == same
    assert not rig.online()


async def test_a_broker_that_does_not_answer_does_not_hold_up_a_stop(
    rig: PublisherRig,
) -> None:
    hasty = publisher.Settings(timing=ReportingTiming(offline_timeout=0.05))
    async with asyncio.timeout(PATIENCE) as patience, rig.running(settings=hasty):  # the broker would never answer
        rig.server.acknowledging.clear()
    assert not patience.expired()


async def test_it_is_logged_once_when_the_broker_is_lost_and_once_when_it_is_back(rig: PublisherRig) -> None:
    structlog.reset_defaults()
    with capture_logs() as logs:
        rig.server.stop()
        running = asyncio.create_task(rig.make().run())
        await rig.clock.advance(600)
        rig.server.start()
        rig.server.login_refused = True
        await rig.clock.advance(600)
        rig.server.login_refused = False
        await rig.until(rig.online, tick=5)
        rig.server.stop()
        await rig.clock.advance(600)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert [(line["action"], line.get("reason")) for line in logs] == [
        ("mqtt-down", "fake: down"),
        ("mqtt-down", "fake: refused; check mqtt.username"),
        ("mqtt-up", None),
        ("mqtt-down", "fake: lost"),
    ]


async def test_a_refused_inventory_is_logged_once_and_delays_nothing(rig: PublisherRig) -> None:
    rig.server.denied[TOPICS.inventory] = broker.PACKET_TOO_LARGE
    rig.host_report.show_inventory(PendingInventory.of(make_inventory()))
    await rig.add(1)
    structlog.reset_defaults()
    with capture_logs() as logs:
        async with rig.running():
            await rig.until(lambda: rig.sent() == [1])
            rig.host_report.show_inventory(PendingInventory.of(make_inventory(left_out=1)))
            await rig.clock.advance(10)
    assert [line["topics"] for line in logs if line["action"] == "mqtt-refused"] == [TOPICS.inventory]


async def test_where_its_own_status_may_not_be_read_it_publishes_all_the_same(rig: PublisherRig) -> None:
    rig.server.unreadable.add(TOPICS.status)
    async with rig.running():
        assert rig.online()


async def test_a_broker_that_stays_away_is_tried_ever_more_rarely_but_at_least_once_a_minute(
    rig: PublisherRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[float] = []

    def away(will: Message | None) -> Any:
        attempts.append(rig.clock.monotonic())
        raise broker.BrokerUnavailable("away")

    monkeypatch.setattr(rig.server, "connector", lambda _: away)
    running = asyncio.create_task(rig.make().run())
    await rig.clock.advance(3600)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    waits = [later - earlier for earlier, later in pairwise(attempts)]
    assert 60 <= len(waits) <= 300
    assert max(waits) <= 60
    assert len(set(waits)) > 10  # jitter


async def test_after_a_connection_that_lasted_the_next_attempt_comes_soon(rig: PublisherRig) -> None:
    async with rig.running():
        for _ in range(5):
            await rig.clock.advance(3600)
            rig.server.stop()
            rig.server.start()
            await rig.clock.advance(2)
            assert rig.online()


async def test_an_error_that_is_not_of_the_broker_escapes(rig: PublisherRig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(after: int, limit: int) -> list[Any]:
        raise ZeroDivisionError

    monkeypatch.setattr(rig.store, "unsent", broken)
    with pytest.raises(ExceptionGroup) as caught:
        await rig.make().run()
    assert caught.group_contains(ZeroDivisionError)
    assert not rig.online()


# On mosquitto, with the machine's own time.


async def read_retained(server: Mosquitto, topics: set[str]) -> dict[str, bytes]:
    """What the broker has of these topics, once it has all of them."""
    found: dict[str, bytes] = {}
    async with asyncio.timeout(PATIENCE), broker.connect(make_options(server, "reader")) as connection:
        await connection.subscribe("torchkeeper/#")
        async for message in connection.messages():
            found[message.topic] = message.payload
            if topics <= {topic for topic, payload in found.items() if payload}:
                break
    return found


async def test_retained_values_that_mosquitto_forgot_when_it_was_killed_are_published_again(
    rig: PublisherRig, broker: Mosquitto
) -> None:
    rig.host_report.show_info(make_info())
    rig.host_report.show_inventory(PendingInventory.of(make_inventory()))
    rig.host_report.raise_alert(AlertId.STATE_FULL, "nearly full", START)
    topics = {TOPICS.status, TOPICS.info, TOPICS.inventory, TOPICS.alert("state-full")}
    async with on_mosquitto(rig, broker):
        before = await read_retained(broker, topics)
        await asyncio.to_thread(broker.kill)
        await asyncio.to_thread(broker.start)
        after = await read_retained(broker, topics)
    at_last = await read_retained(broker, topics)
    assert [after[topic] for topic in topics - {TOPICS.status}] == [before[topic] for topic in topics - {TOPICS.status}]
    assert [state_of(kept[TOPICS.status]) for kept in (before, after, at_last)] == ["online", "online", "offline"]


def state_of(payload: bytes) -> str:
    status = payloads.decode(payloads.Status, payload)
    assert status is not None
    return status.state


def archive(server: Mosquitto) -> aiomqtt.Client:
    """A client whose session the broker keeps, with what arrives while it is away."""
    return aiomqtt.Client("localhost", server.port, identifier="archive", clean_session=False)


@pytest.mark.real
async def test_no_event_is_lost_or_out_of_order_over_restarts_of_mosquitto(rig: PublisherRig) -> None:
    rounds, burst = 4, 400
    with mosquitto.running(persistence=True) as server:
        async with archive(server) as before:
            await before.subscribe(TOPICS.events, qos=1)
        async with on_mosquitto(rig, server):
            for number in range(rounds):
                await rig.add(burst)
                await until_waiting(rig, fewer_than=burst - 20 * number)
                await asyncio.to_thread(server.restart)
            await until_waiting(rig, fewer_than=1)
        got: list[int] = []
        async with archive(server) as after, asyncio.timeout(PATIENCE):
            async for message in after.messages:
                if message.payload != PROBE:
                    got.append(json.loads(bytes(message.payload))["data"]["seq"])
                if rounds * burst in got[-1:]:
                    break
    assert without_repeats(got) == list(range(1, rounds * burst + 1))
    assert rig.host_report.alerts == {}


async def until_waiting(rig: PublisherRig, fewer_than: int) -> None:
    async def few() -> bool:
        return len(await rig.waiting()) < fewer_than

    await eventually_async(few)
