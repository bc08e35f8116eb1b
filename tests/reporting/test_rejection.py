"""What the broker does not take: whose fault it is, and that no decision or outcome is ever given up.

On the fake broker; the last tests are on a broker that hangs up on a real socket.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest

from agent.adapters.mqtt import broker
from agent.adapters.mqtt.broker import Message
from agent.core.protocol import payloads as wire
from agent.core.protocol import shorten
from agent.core.protocol.topics import PROBE
from agent.reporting import deferred, poison
from agent.reporting.deferred import Deferred
from agent.reporting.denial import ENDS, FIRST_PAUSE, LONGEST_PAUSE, Denial
from tests.support import hanging_broker
from tests.support.fakes.broker import FakeBroker
from tests.support.hanging_broker import HangingBroker
from tests.support.proc import eventually_async
from tests.support.publishing import TOPICS, PublisherRig, connected, without_repeats

SPEED = 300  # times as fast as the machine's clock


@pytest.fixture
async def rig(rig: PublisherRig) -> PublisherRig:
    await rig.store.name_host(TOPICS.host)
    return rig


def is_on_events(message: Message) -> bool:
    return message.topic == TOPICS.events


def larger_than(most: int) -> Callable[[Message], bool]:
    return lambda message: is_on_events(message) and len(message.payload) > most


def carries(seq: int) -> Callable[[Message], bool]:
    """Whether a message is this event, in any form."""
    return lambda message: is_on_events(message) and bool(message.payload) and data_of(message.payload)["seq"] == seq


def data_of(payload: bytes) -> dict[str, Any]:
    return dict(json.loads(payload)["data"])


def arrived(rig: PublisherRig) -> dict[int, dict[str, Any]]:
    """The events that the broker took, by number."""
    payloads = [payload for payload in rig.payloads(TOPICS.events) if payload]
    return {data["seq"]: data for data in map(data_of, payloads)}


async def dropped_events(rig: PublisherRig) -> list[wire.Event]:
    """The events that say that others were given up."""
    return [event for event in await rig.history() if event.type == wire.DroppedData.type]


async def test_where_an_empty_message_ends_the_connection_too_the_topic_is_denied_and_all_rows_wait(
    rig: PublisherRig,
) -> None:
    rig.server.poison = is_on_events
    await rig.add_decisions(2)
    await rig.add(2)
    async with rig.running(tick=5):
        await rig.until(lambda: "alerts/events-denied" in rig.retained(), tick=5)
        await rig.pass_time(1800)
        assert await rig.waiting() == [1, 2, 3, 4]
        assert set(rig.host_report.alerts) == {"events-denied"}
        assert f"may this user publish to {TOPICS.events}?" in rig.host_report.alerts["events-denied"].message
        rig.server.poison = lambda _: False
        await rig.until(rig.is_empty, tick=5)
        await rig.until(lambda: "alerts/events-denied" not in rig.retained(), tick=1)
    assert without_repeats(rig.sent()) == [1, 2, 3, 4]
    assert await dropped_events(rig) == []


async def test_a_denied_topic_costs_ever_fewer_connections_and_the_other_topics_work_meanwhile(
    rig: PublisherRig,
) -> None:
    rig.server.poison = is_on_events
    await rig.add_decisions()
    async with rig.running(tick=5):
        await rig.until(lambda: "events-denied" in rig.host_report.alerts, tick=5)
        before, statuses = rig.server.connects, len(rig.statuses())
        await rig.pass_time(3 * LONGEST_PAUSE)
        first_half = rig.server.connects - before
        await rig.pass_time(3 * LONGEST_PAUSE)
        assert first_half <= 7
        assert rig.server.connects - before - first_half <= 4
        assert len(rig.statuses()) - statuses > 50


async def test_a_row_is_not_blamed_for_connections_that_end_over_an_empty_message_as_well(rig: PublisherRig) -> None:
    ended: list[bytes] = []
    taken = {PROBE}

    def breaks(message: Message) -> bool:
        if not is_on_events(message) or message.payload in taken:
            return False
        ended.append(message.payload)
        return True

    def ends_over(count: int) -> Callable[[], bool]:
        return lambda: len([payload for payload in ended if payload]) == count

    rig.server.poison = breaks
    await rig.add(1)
    async with rig.running(tick=5):
        await rig.until(ends_over(poison.BREAKS - 1), tick=1)
        taken.clear()
        await rig.until(lambda: PROBE in ended, tick=1)
        taken.add(PROBE)
        await rig.until(ends_over(2 * poison.BREAKS - 2), tick=1)
        await rig.settle()
        assert await rig.waiting() == [1]
        await rig.until(ends_over(2 * poison.BREAKS - 1), tick=1)
        await rig.until(lambda: "outbox-poison" in rig.host_report.alerts, tick=1)


async def test_a_refusal_that_may_be_the_topics_blames_a_row_only_once_an_empty_message_was_taken(
    rig: PublisherRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    quota_exceeded = 151
    refuse(monkeypatch, rig.server, carries(3), quota_exceeded)
    await rig.add(5)
    async with rig.running():
        await rig.until(lambda: "events-denied" in rig.host_report.alerts)
        await rig.settle()
        assert rig.sent() == [1, 2, 4, 5]  # those that were in flight already
        assert await rig.waiting() == [3, 4, 5]
        await rig.until(rig.is_empty, tick=5)
    assert without_repeats(rig.sent()) == [1, 2, 4, 5, 6]
    assert [event.data["ranges"] for event in await dropped_events(rig)] == [[[3, 3]]]
    assert set(rig.host_report.alerts) == {"outbox-poison"}


def refuse(monkeypatch: pytest.MonkeyPatch, server: FakeBroker, which: Callable[[Message], bool], code: int) -> None:
    """Answer with a reason code to some messages."""
    take = server.take

    def judge(client: Any, message: Message) -> None:
        if which(message):
            raise broker.PublishRefused(code, "fake: refused")
        take(client, message)

    monkeypatch.setattr(server, "take", judge)


@pytest.mark.parametrize("says_so", [True, False])
async def test_a_decision_that_is_too_large_arrives_shortened_and_stays_whole_here(
    rig: PublisherRig, monkeypatch: pytest.MonkeyPatch, says_so: bool
) -> None:
    if says_so:
        refuse(monkeypatch, rig.server, larger_than(1100), broker.PACKET_TOO_LARGE)
    else:
        rig.server.poison = larger_than(1100)
    await rig.add_decisions()
    await rig.add_decisions(references=50)
    await rig.add(1)
    async with rig.running(tick=5):
        await rig.until(rig.is_empty, tick=5)
        await rig.settle()
    got = arrived(rig)
    assert {seq: data.get("shortened", False) for seq, data in got.items()} == {1: False, 2: True, 3: False}
    assert (len(got[2]["image"]["references"]), got[2]["explanation"][:9]) == (shorten.REFERENCES, "idle 15 d")
    (whole,) = [event for event in await rig.history() if event.data["seq"] == 2]
    assert (len(whole.data["image"]["references"]), "shortened" in whole.data) == (50, False)
    assert rig.host_report.alerts == {}


async def test_a_decision_that_is_sent_again_is_shortened_again_at_once(
    rig: PublisherRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, rig.server, larger_than(1100), broker.PACKET_TOO_LARGE)
    await rig.add_decisions(references=50)
    rig.acknowledge(0)
    async with rig.running():
        await rig.until(lambda: rig.sent() == [1])
        await rig.until(lambda: rig.sent() == [1, 1], tick=5)
        assert all(data_of(payload)["shortened"] for payload in rig.payloads(TOPICS.events))


@pytest.mark.parametrize("says_so", [True, False])
async def test_a_decision_that_is_taken_in_no_form_waits_and_those_behind_it_pass(
    rig: PublisherRig, monkeypatch: pytest.MonkeyPatch, says_so: bool
) -> None:
    blocking = True

    def is_blocked(message: Message) -> bool:
        return blocking and carries(2)(message)

    if says_so:
        refuse(monkeypatch, rig.server, is_blocked, broker.PACKET_TOO_LARGE)
    else:
        rig.server.poison = is_blocked
    await rig.add_decisions(3)
    async with rig.running(tick=5):
        await rig.until(lambda: "alerts/outbox-poison" in rig.retained(), tick=5)
        assert "first number 2" in rig.host_report.alerts["outbox-poison"].message
        await rig.add(1)
        await rig.until(lambda: 4 in rig.sent(), tick=5)
        await rig.settle()
        assert await rig.waiting() == [2]
        blocking = False
        await rig.until(rig.is_empty, tick=10)
        await rig.until(lambda: "alerts/outbox-poison" not in rig.retained(), tick=1)
    assert without_repeats(rig.sent()) == [1, 3, 4, 2]
    assert await dropped_events(rig) == []


async def test_a_deferred_decision_is_tried_alone_and_ever_more_rarely(rig: PublisherRig) -> None:
    tried: list[float] = []

    def breaks(message: Message) -> bool:
        if not carries(1)(message):
            return False
        tried.append(rig.clock.monotonic())
        return True

    rig.server.poison = breaks
    await rig.add_decisions()
    async with rig.running(tick=5):
        await rig.until(lambda: "outbox-poison" in rig.host_report.alerts, tick=5)
        before = len(tried)
        await rig.pass_time(6 * deferred.LONGEST_PAUSE)
        assert 5 <= len(tried) - before <= 10
        await rig.add(30)
        await rig.until(lambda: 31 in rig.sent(), tick=1)
        await rig.settle()
        assert await rig.waiting() == [1]


async def test_rows_after_a_deferred_decision_are_sent_again_once_that_one_is_taken(rig: PublisherRig) -> None:
    """A collector may take events in their order only: it has left those that came before their turn."""
    blocked = True
    rig.server.poison = lambda message: blocked and carries(1)(message)
    rig.acknowledge(0)
    await rig.add_decisions(3)
    async with rig.running(tick=5):
        await rig.until(lambda: "outbox-poison" in rig.host_report.alerts and 3 in rig.sent(), tick=5)
        assert await rig.waiting() == [1, 2, 3]
        blocked = False
        await rig.until(lambda: 1 in rig.sent(), tick=5)
        after = rig.sent().index(1)
        await rig.until(lambda: without_repeats(rig.sent()[after:])[:3] == [1, 2, 3], tick=1)


async def test_a_deferred_row_that_the_collector_has_meanwhile_is_not_tried_any_more(rig: PublisherRig) -> None:
    rig.server.poison = carries(1)
    rig.acknowledge(0)
    await rig.add_decisions(2)
    async with rig.running(tick=5):
        await rig.until(lambda: "outbox-poison" in rig.host_report.alerts and 2 in rig.sent(), tick=5)
        rig.acknowledge(2)
        await rig.until(rig.is_empty, tick=5)
        before = rig.server.connects
        await rig.pass_time(3 * deferred.LONGEST_PAUSE)
        assert rig.server.connects == before
        await rig.until(lambda: rig.host_report.alerts == {}, tick=1)


def test_a_topic_counts_as_denied_only_after_several_connections_and_is_probed_ever_more_rarely() -> None:
    denial, pauses = Denial(), []
    for count in range(1, ENDS + 6):
        denial.connection_ended(now=0.0)
        assert bool(denial.reason) is (count >= ENDS)
        pauses.append(denial.wait(now=0.0))
    assert pauses == [0.0] * (ENDS - 1) + [60.0, 120.0, 240.0, 480.0, 600.0, 600.0]
    denial.accepted()
    assert (denial.standing, denial.reason, denial.wait(now=0.0)) == (False, "", 0.0)


def test_a_broker_that_refuses_is_probed_once_a_minute() -> None:
    denial = Denial()
    for _ in range(5):
        denial.refused("not authorized", now=100.0)
        assert (denial.standing, denial.reason, denial.wait(now=110.0)) == (True, "not authorized", FIRST_PAUSE - 10)


def test_of_many_deferred_rows_one_is_tried_in_a_minute_each_in_its_turn_and_all_once_one_is_taken() -> None:
    rows, now, tried = Deferred(), 0.0, []
    for seq in (1, 2, 3):
        rows.defer(seq, now)
    for _ in range(6):
        found = rows.next()
        assert found is not None
        seq, not_before = found
        assert not_before - now >= deferred.FIRST_PAUSE
        now = not_before
        rows.defer(seq, now)
        tried.append(seq)
    assert tried == [1, 2, 3, 1, 2, 3]
    rows.release(2)
    assert [rows.next(), rows.numbers] == [(1, 0.0), [1, 3]]


def test_the_rows_that_are_known_are_forgotten_with_their_rows_but_for_deferred_ones() -> None:
    rows = Deferred()
    for seq in (1, 2, 3):
        rows.shorten(seq)
    rows.defer(2, now=0.0)
    rows.forget(up_to=2)
    assert (rows.numbers, [rows.shorten(seq) for seq in (1, 2, 3) for _ in range(shorten.FORMS)].count(False)) == (
        [2],
        2,
    )


# On a real socket, by a clock that is faster than the machine's.


def live_options(server: HangingBroker) -> broker.Options:
    return broker.Options(host="127.0.0.1", port=server.port, client_id="a", version="3.1.1")


async def test_a_real_broker_that_hangs_up_on_events_gets_every_event_once_it_allows_them(rig: PublisherRig) -> None:
    async with hanging_broker.running() as server:
        server.hangs_up = is_on_events
        await rig.add_decisions(2)
        await rig.add(2)
        async with connected(rig, live_options(server), speed=SPEED):
            await until(lambda: TOPICS.alert("events-denied") in server.retained)
            await until(lambda: len(server.hung_up) > poison.BREAKS + 3)
            assert await rig.waiting() == [1, 2, 3, 4]
            server.hangs_up = lambda _: False
            await eventually_async(rig.is_empty)
            await until(lambda: TOPICS.alert("events-denied") not in server.retained)
    assert without_repeats(numbers(server)) == [1, 2, 3, 4]
    assert await dropped_events(rig) == []


async def test_a_real_broker_that_hangs_up_on_large_messages_gets_a_decision_shortened(rig: PublisherRig) -> None:
    async with hanging_broker.running() as server:
        server.hangs_up = larger_than(1100)
        await rig.add_decisions(references=50)
        await rig.add_decisions()
        async with connected(rig, live_options(server), speed=SPEED):
            await eventually_async(rig.is_empty)
    taken = [data_of(payload) for payload in server.payloads(TOPICS.events) if payload]
    assert {data["seq"]: data.get("shortened", False) for data in taken} == {1: True, 2: False}


def numbers(server: HangingBroker) -> list[int]:
    return [data_of(payload)["seq"] for payload in server.payloads(TOPICS.events) if payload != PROBE]


async def until(true: Callable[[], object]) -> None:
    async def look() -> bool:
        return bool(true())

    await eventually_async(look)


async def test_the_empty_message_is_published_alone_and_never_retained(rig: PublisherRig) -> None:
    async with hanging_broker.running() as server:
        server.hangs_up = lambda message: is_on_events(message) and bool(message.payload)
        await rig.add(1)
        async with connected(rig, live_options(server), speed=SPEED):
            await until(lambda: server.payloads(TOPICS.events))
        probes = [message for message in server.published if is_on_events(message)]
    assert set(probes) == {Message(TOPICS.events, PROBE, retain=False)}
