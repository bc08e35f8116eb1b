"""The agent's subscriptions: requested again after a refusal, and paused after a flood."""

import json
from datetime import datetime
from functools import partial
from itertools import pairwise

import pytest
import structlog
from structlog.testing import capture_logs

from agent.adapters.mqtt import broker
from agent.adapters.mqtt.broker import Message
from agent.adapters.outbox import Watermark
from agent.core.protocol import payloads
from agent.reporting import confirmation, subscriptions
from tests.support import hanging_broker
from tests.support.proc import eventually_async
from tests.support.publishing import CLIENT_ID, TOPICS, PublisherRig, connected


def flood(rig: PublisherRig) -> None:
    """The broker sends far too much, and the client ends the connection."""
    rig.server.end(CLIENT_ID, broker.Flooded("fake: too much"))


async def test_a_refused_acknowledgement_topic_is_an_alert_and_is_requested_again_without_end(
    rig: PublisherRig,
) -> None:
    rig.server.unreadable.add(TOPICS.ack)
    await rig.add(2)
    rig.acknowledge(0)
    async with rig.running():
        await rig.until(lambda: "alerts/acks-denied" in rig.retained(), tick=1)
        await rig.until(lambda: rig.sent() == [1, 2])
        rig.acknowledge(2)
        await rig.pass_time(300)
        assert "acks-denied" in rig.host_report.alerts
        rig.server.unreadable.clear()
        await rig.pass_time(60)
        await rig.until(lambda: "alerts/acks-denied" not in rig.retained(), tick=1)
        await rig.until(rig.is_empty)


async def test_a_connection_whose_predecessor_was_refused_probes_at_once(rig: PublisherRig) -> None:
    rig.server.unreadable.add(TOPICS.ack)
    async with rig.running():
        await rig.until(lambda: "acks-denied" in rig.host_report.alerts)
        rig.server.unreadable.clear()
        rig.server.cut(CLIENT_ID)
        await rig.until(lambda: "acks-denied" not in rig.host_report.alerts, tick=1)


async def test_a_refusal_of_a_moment_costs_seconds(rig: PublisherRig) -> None:
    rig.server.unreadable.add(TOPICS.ack)
    async with rig.running():
        await rig.until(lambda: "acks-denied" in rig.host_report.alerts)
        rig.server.unreadable.clear()
        await rig.pass_time(subscriptions.ASK_AGAIN_AFTER[0], tick=1)
        assert "acks-denied" not in rig.host_report.alerts


async def test_a_refused_subscription_is_requested_ever_more_rarely_and_a_granted_one_not_again(
    rig: PublisherRig,
) -> None:
    rig.server.unreadable.add(TOPICS.ack)
    async with rig.running():
        await rig.pass_time(300)
        asked = rig.server.subscriptions
        assert asked.count(TOPICS.status) == 1
        assert asked.count(TOPICS.ack) == 1 + len(subscriptions.ASK_AGAIN_AFTER) + 4


async def test_acknowledgements_that_a_granted_subscription_does_not_bring_are_subscribed_to_again(
    rig: PublisherRig,
) -> None:
    await rig.add(2)
    rig.acknowledge(0)
    async with rig.running():
        await rig.until(lambda: rig.sent() == [1, 2])
        rig.server.forget(CLIENT_ID, TOPICS.ack)
        rig.acknowledge(2)
        await rig.settle()
        assert await rig.waiting() == [1, 2]
        await rig.pass_time(confirmation.OVERDUE + subscriptions.ASK_AGAIN_EVERY)
        await rig.until(rig.is_empty)


async def test_while_no_acknowledgement_is_due_none_is_subscribed_to_again(rig: PublisherRig) -> None:
    await rig.add(1)
    rig.acknowledge(0)
    async with rig.running():
        await rig.until(lambda: rig.sent() == [1])
        rig.acknowledge(1)
        await rig.until(rig.is_empty)
        await rig.pass_time(600)
        assert rig.server.subscriptions.count(TOPICS.ack) == 1


async def test_a_refusal_is_logged_once_until_the_topic_is_granted(rig: PublisherRig) -> None:
    rig.server.unreadable |= {TOPICS.ack, TOPICS.collectors}
    structlog.reset_defaults()
    with capture_logs() as logs:
        async with rig.running():
            await rig.pass_time(300)
    lines = [(line["action"], line.get("topics"), line.get("alert"), line.get("state")) for line in logs]
    assert lines == [
        ("alert", None, "acks-denied", "began"),
        ("mqtt-refused", TOPICS.collectors, None, None),
        ("mqtt-up", None, None, None),
    ]


async def test_its_own_status_that_it_may_read_late_is_not_taken_for_a_second_agent(rig: PublisherRig) -> None:
    rig.server.unreadable.add(TOPICS.status)
    async with rig.running():
        rig.server.cut(CLIENT_ID)  # so that it was born twice
        await rig.until(rig.online, tick=1)
        rig.server.unreadable.clear()
        await rig.pass_time(120)
        assert rig.server.subscriptions.count(TOPICS.status) == 3  # refused at both births, granted at a status
        assert rig.host_report.alerts == {}


async def test_after_a_flood_the_agent_does_not_subscribe_for_a_while_and_publishes_all_the_same(
    rig: PublisherRig,
) -> None:
    async with rig.running():
        flood(rig)
        await rig.until(lambda: "alerts/broker-flood" in rig.retained(), tick=1)
        assert rig.server.subscriptions.count(TOPICS.ack) == 1
        await rig.add(1)
        await rig.until(lambda: rig.sent() == [1])
        message = rig.host_report.alerts["broker-flood"].message
        assert f"who publishes to {TOPICS.status} or {TOPICS.ack} or {TOPICS.collectors}?" in message
        await rig.pass_time(2 * subscriptions.FIRST_PAUSE)
        assert rig.server.subscriptions.count(TOPICS.ack) == 2
        await rig.pass_time(subscriptions.CALM)
        await rig.until(lambda: "alerts/broker-flood" not in rig.retained(), tick=1)


async def test_each_further_flood_makes_the_pause_longer_and_is_logged_once(rig: PublisherRig) -> None:
    structlog.reset_defaults()
    pauses: list[float] = []
    with capture_logs() as logs:
        async with rig.running():
            for _ in range(4):
                heard = rig.server.subscriptions.count(TOPICS.ack)
                flood(rig)
                since = rig.clock.monotonic()
                await rig.until(
                    lambda heard=heard: rig.server.subscriptions.count(TOPICS.ack) > heard,  # type: ignore[misc]
                    tick=10,
                )
                pauses.append(rig.clock.monotonic() - since)
    assert all(later > 1.4 * earlier for earlier, later in pairwise(pauses))
    assert pauses[0] >= subscriptions.FIRST_PAUSE
    assert [line["action"] for line in logs] == ["mqtt-up", "alert"]


async def test_a_flood_that_is_over_begins_the_pauses_anew(rig: PublisherRig) -> None:
    async with rig.running():
        for _ in range(2):
            flood(rig)
            await rig.until(lambda: "broker-flood" in rig.host_report.alerts, tick=1)
            assert "without subscriptions for 1 min" in rig.host_report.alerts["broker-flood"].message
            await rig.until(lambda: "broker-flood" not in rig.host_report.alerts, tick=10)


async def test_a_flood_of_acknowledgements_is_written_down_by_its_last(
    rig: PublisherRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = count_acknowledgements(rig, monkeypatch)
    await rig.add(3)
    async with rig.running():
        await rig.until(lambda: rig.sent() == [1, 2, 3])
        for number in range(1000):
            rig.acknowledge(number % 4)
        await rig.until(lambda: written[-1:] == [3])
        await rig.settle()
        assert len(written) < 20
        assert await rig.store.watermark() == 3


def count_acknowledgements(rig: PublisherRig, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers that are written down, as they are."""
    written: list[int] = []
    acknowledge = rig.store.acknowledge

    async def counted(epoch: str, seq: int, now: datetime) -> Watermark | None:
        written.append(seq)
        return await acknowledge(epoch, seq, now)

    monkeypatch.setattr(rig.store, "acknowledge", counted)
    return written


async def test_acknowledgements_of_many_other_epochs_make_no_queue(
    rig: PublisherRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = count_acknowledgements(rig, monkeypatch)
    await rig.add(1)
    async with rig.running():
        await rig.until(lambda: rig.sent() == [1])
        for number in range(1000):
            word = payloads.Ack(collector="main", epoch=f"epoch {number}", seq=0)
            rig.server.route(Message(TOPICS.ack, word.encode(), retain=True))
        rig.acknowledge(1)
        await rig.until(partial(has_watermark, rig, 1))
        assert len(written) < 100


async def has_watermark(rig: PublisherRig, seq: int) -> bool:
    return await rig.store.watermark() == seq


async def test_a_real_broker_that_refuses_the_acknowledgements_for_a_while_is_tried_again(rig: PublisherRig) -> None:
    """As NATS does while its cluster elects a leader: 0x80 means `not now` there, and not `never`."""
    async with hanging_broker.running() as server:
        server.refusals[TOPICS.ack] = 2
        word = payloads.Ack(collector="main", epoch=rig.store.epoch, seq=0)
        server.retained[TOPICS.ack] = word.encode()
        options = broker.Options(host="127.0.0.1", port=server.port, client_id=CLIENT_ID, version="3.1.1")
        async with connected(rig, options, speed=120):
            await eventually_async(partial(has_watermark, rig, 0))
        assert server.refusals[TOPICS.ack] == 0
        assert "acks-denied" not in rig.host_report.alerts
        assert json.loads(server.retained[TOPICS.status])["state"] == "offline"
