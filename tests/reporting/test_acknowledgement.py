"""What the collector's word does to the outbox, on the fake broker; tests/test_delivery.py is the same on mosquitto."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from agent.adapters.mqtt import broker
from agent.adapters.mqtt.broker import Message
from agent.adapters.sqlite import database
from agent.adapters.sqlite.store import Store
from agent.adapters.state_errors import StateFull
from agent.core.protocol import payloads
from agent.reporting import outbox_sender, poison
from tests.support.fakes.clock import START
from tests.support.proc import PATIENCE
from tests.support.publishing import CLIENT_ID, TOPICS, PublisherRig, rigged, without_repeats

DAY = 86400.0  # seconds


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[PublisherRig]:
    async with rigged(tmp_path, bound=64 * 1024) as made:
        yield made


def make_ack(rig: PublisherRig, seq: Any, collector: str = "main", epoch: str | None = None) -> bytes:
    return payloads.Ack.model_construct(
        collector=collector, epoch=rig.store.epoch if epoch is None else epoch, seq=seq
    ).encode()


def say(rig: PublisherRig, seq: Any, **keys: Any) -> None:
    """A collector publishes its watermark."""
    rig.server.route(Message(TOPICS.ack, make_ack(rig, seq, **keys), retain=True))


@asynccontextmanager
async def heard(rig: PublisherRig) -> AsyncIterator[None]:
    """A publisher whose collector is there, and has nothing yet."""
    rig.server.retained[TOPICS.ack] = make_ack(rig, 0)
    async with rig.running(), asyncio.timeout(PATIENCE):
        while await rig.store.watermark() is None:
            await rig.quiet()
        yield


async def send(rig: PublisherRig, count: int) -> None:
    """Add events, and wait until the broker has them."""
    before = len(rig.sent())
    await rig.add(count)
    await rig.until(lambda: len(rig.sent()) >= before + count)
    await rig.quiet()


async def reconnect(rig: PublisherRig, sending: int) -> None:
    """Lose the connection, and wait until at least so many events went over the next one."""
    before = len(rig.sent())
    rig.server.cut(CLIENT_ID)
    await rig.until(rig.online, tick=1)
    await rig.until(lambda: len(rig.sent()) >= before + sending)
    await rig.quiet()


async def until_waiting(rig: PublisherRig, numbers: list[int]) -> None:
    """Wait for the rows that wait; a failure shows those that do."""
    for _ in range(500):
        if await rig.waiting() == numbers:
            return
        await rig.quiet()
    assert await rig.waiting() == numbers


async def test_once_a_collector_was_heard_the_brokers_word_retires_nothing(rig: PublisherRig) -> None:
    async with rig.running():
        await send(rig, 3)
        assert await rig.waiting() == []
        say(rig, 3)
        await rig.quiet()
        await send(rig, 2)
        assert await rig.waiting() == [4, 5]
        say(rig, 5)
        await until_waiting(rig, [])
        assert rig.sent() == [1, 2, 3, 4, 5]


async def test_that_holds_over_a_restart_and_over_a_broker_that_forgot_what_was_retained(
    rig: PublisherRig, tmp_path: Path
) -> None:
    async with heard(rig):
        await send(rig, 2)
        say(rig, 1)
        await until_waiting(rig, [2])
    await rig.store.close()
    rig.server.stop()
    rig.server.start()
    rig.store = Store(database.open_file(tmp_path, START)[0])
    async with rig.running():
        await rig.until(lambda: rig.sent() == [1, 2, 2])
        await rig.quiet()
        assert await rig.waiting() == [2]


async def test_the_watermark_that_the_broker_kept_counts_at_the_start(rig: PublisherRig) -> None:
    await rig.add(5)
    rig.server.retained[TOPICS.ack] = make_ack(rig, 3)
    async with rig.running():
        await rig.until(lambda: 5 in rig.sent())
        await until_waiting(rig, [4, 5])


async def test_each_connection_begins_after_the_watermark(rig: PublisherRig) -> None:
    async with heard(rig):
        await send(rig, 3)
        say(rig, 2)
        await send(rig, 2)
        await until_waiting(rig, [3, 4, 5])
        rig.server.cut(CLIENT_ID)
        await rig.until(lambda: len(rig.sent()) == 8, tick=1)
        assert rig.sent() == [1, 2, 3, 4, 5, 3, 4, 5]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"not json",
        b"[]",
        b'{"collector": "main", "epoch": "EPOCH"}',
        b'{"collector": "main", "epoch": "EPOCH", "seq": -1}',
        b'{"collector": "main", "epoch": "EPOCH", "seq": 4}',
        b'{"collector": "main", "epoch": "EPOCH", "seq": 99999999999999999999999999}',
        b'{"collector": "main", "epoch": "EPOCH", "seq": 1e3}',
        b'{"collector": "main", "epoch": "EPOCH", "seq": "3"}',
        b'{"collector": "main", "epoch": "EPOCH", "seq": true}',
        b'{"collector": "main", "epoch": "EPOCH", "seq": null}',
        b'{"collector": ["main"], "epoch": "EPOCH", "seq": 3}',
        b'{"collector": "other", "epoch": "EPOCH", "seq": 3}',
        b'{"collector": "main", "epoch": "of another agent", "seq": 0}',
        b"[" * 5000,
        b"\xff\xfe",
    ],
)
async def test_a_word_that_cannot_be_true_changes_nothing(rig: PublisherRig, payload: bytes) -> None:
    async with heard(rig):
        await send(rig, 3)
        say(rig, 2)
        await until_waiting(rig, [3])
        message = payload.replace(b"EPOCH", rig.store.epoch.encode())
        rig.server.route(Message(TOPICS.ack, message, retain=True))
        await rig.quiet()
        assert (await rig.waiting(), await rig.store.watermark()) == ([3], 2)
        assert rig.sent() == [1, 2, 3]
        say(rig, 3)
        await until_waiting(rig, [])


async def test_a_collector_that_has_more_than_was_ever_given_is_an_alert(rig: PublisherRig) -> None:
    async with heard(rig):
        await send(rig, 3)
        say(rig, 3)
        await until_waiting(rig, [])
        assert rig.host_report.alerts == {}
        say(rig, 4)
        await rig.until(lambda: "alerts/outbox-behind" in rig.retained(), tick=1)
        assert (
            "up to number 4, but this state never issued that number" in rig.host_report.alerts["outbox-behind"].message
        )
        assert rig.host_report.alerts["outbox-behind"].severity == "critical"


async def test_a_collector_that_knows_only_another_epoch_gets_everything(rig: PublisherRig) -> None:
    async with rig.running():
        await send(rig, 3)
        say(rig, 900, epoch="before the state was wiped")
        await rig.until(lambda: rig.sent() == [1, 2, 3, 1, 2, 3])
        assert (await rig.waiting(), await rig.store.watermark()) == ([1, 2, 3], 0)


async def test_a_collector_that_went_back_gets_the_rows_above_again(rig: PublisherRig) -> None:
    async with heard(rig):
        await send(rig, 6)
        say(rig, 6)
        await until_waiting(rig, [])
        say(rig, 2)
        await rig.until(lambda: len(rig.sent()) == 10)
        assert rig.sent() == [1, 2, 3, 4, 5, 6, 3, 4, 5, 6]
        assert await rig.waiting() == [3, 4, 5, 6]


async def test_a_collector_without_a_word_is_asked_by_the_first_rows_and_ever_more_rarely(rig: PublisherRig) -> None:
    async with heard(rig):
        await send(rig, 3)
        asked: list[float] = []
        for _ in range(360):
            seen = len(rig.sent())
            await rig.clock.advance(10)
            await rig.quiet()
            if len(rig.sent()) > seen:
                asked.append(rig.clock.monotonic())
        waits = [round(later - earlier, -1) for earlier, later in pairwise(asked)]
        assert waits[:3] == [60, 120, 240]
        assert set(waits[4:]) == {600}
        assert rig.sent() == [1, 2, 3] * (len(asked) + 1)
        assert await rig.waiting() == [1, 2, 3]


async def test_only_a_window_asks_and_all_follows_once_the_collector_answers(rig: PublisherRig) -> None:
    async with heard(rig):
        await send(rig, 50)
        await rig.until(lambda: len(rig.sent()) > 50, tick=5)
        await rig.until(lambda: len(rig.sent()) == 50 + outbox_sender.WINDOW)
        await rig.quiet()
        say(rig, 1)
        await rig.until(lambda: len(rig.sent()) == 50 + outbox_sender.WINDOW + 49)
        assert rig.sent()[50:] == [*range(1, outbox_sender.WINDOW + 1), *range(2, 51)]


async def test_new_events_go_out_at_once_while_the_collector_says_nothing(rig: PublisherRig) -> None:
    async with heard(rig):
        await send(rig, 30)
        await rig.clock.advance(200)
        await rig.quiet()
        await rig.add(1)
        await rig.until(lambda: 31 in rig.sent())


async def test_progress_of_the_watermark_means_patience(rig: PublisherRig) -> None:
    async with heard(rig):
        await send(rig, 30)
        for number in range(1, 30):
            await rig.clock.advance(20)
            say(rig, number)
            await rig.quiet()
        assert rig.sent() == list(range(1, 31))


async def test_nothing_is_sent_again_where_all_is_acknowledged(rig: PublisherRig) -> None:
    async with rig.running():
        await send(rig, 5)
        say(rig, 5)
        await until_waiting(rig, [])
        await rig.clock.advance(DAY / 4)
        await rig.quiet()
        assert rig.sent() == [1, 2, 3, 4, 5]


async def test_without_a_collector_nothing_is_sent_again(rig: PublisherRig) -> None:
    async with rig.running():
        await send(rig, 5)
        await rig.clock.advance(DAY / 4)
        await rig.quiet()
        assert rig.sent() == [1, 2, 3, 4, 5]


async def test_numbers_that_a_waiting_collector_can_never_get_are_named_to_it(rig: PublisherRig) -> None:
    await rig.add(3)
    await rig.store.prune(rig.clock.now().replace(year=2030), START, declare_dropped=False)
    async with rig.running():
        await send(rig, 1)
        say(rig, 0)
        await rig.until(lambda: 5 in rig.sent(), tick=5)
        (named,) = [event for event in await events(rig) if event.type == payloads.DroppedData.type]
        assert named.data["ranges"] == [[1, 3]]


async def test_what_no_event_names_is_named_once_the_collector_gets_no_further(rig: PublisherRig) -> None:
    async with heard(rig):
        await send(rig, 1)
        say(rig, 1)
        await rig.until(rig.is_empty)
        await rig.add(1)
        await rig.store.quarantine(2, "too long", START)
        await rig.store.quarantine(3, "too long as well: the event that names the other", START)
        await rig.add(1)
        await rig.until(lambda: 5 in rig.sent(), tick=5)
        assert (await events(rig))[-1].data["ranges"] == [[2, 3]]


async def events(rig: PublisherRig) -> list[payloads.Event]:
    return await rig.store.load_events(START)


async def test_a_row_set_aside_is_named_so_that_the_collector_gets_past_it(rig: PublisherRig) -> None:
    rig.server.poison = lambda message: message.topic == TOPICS.events and b'"seq":3}' in message.payload
    rig.server.retained[TOPICS.ack] = make_ack(rig, 0)
    await rig.add(6)
    async with rig.running(tick=5):
        await rig.until(lambda: 7 in rig.sent(), tick=5)
        await rig.quiet()
        assert set(rig.sent()) == {1, 2, 4, 5, 6, 7}
        assert await rig.waiting() == [1, 2, 4, 5, 6, 7]
        assert (await events(rig))[-1].data["ranges"] == [[3, 3]]
        assert "outbox-poison" in rig.host_report.alerts


async def test_a_connection_that_breaks_often_sets_aside_no_row_that_a_broker_took(
    rig: PublisherRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poison, "DOUBT", 2)  # so that ten breaks would be enough
    async with heard(rig):
        await send(rig, 3)
        for _ in range(poison.BREAKS * poison.DOUBT + 1):
            rig.server.withheld.add(TOPICS.events)
            await reconnect(rig, sending=1)
            rig.server.withheld.clear()
            await reconnect(rig, sending=3)
        assert await rig.waiting() == [1, 2, 3]
        assert rig.host_report.alerts == {}
        say(rig, 3)
        await rig.until(rig.is_empty)


async def test_where_the_word_may_not_be_read_it_publishes_all_the_same(rig: PublisherRig) -> None:
    rig.server.unreadable.add(TOPICS.ack)
    async with rig.running():
        await send(rig, 3)
        assert await rig.waiting() == []


async def test_an_outbox_that_overflowed_is_an_alert_until_it_is_sent(rig: PublisherRig) -> None:
    await rig.add(400)
    assert len(await rig.waiting()) < 400
    rig.server.denied[TOPICS.events] = broker.NOT_AUTHORIZED
    async with rig.running():
        await rig.until(lambda: "alerts/outbox-full" in rig.retained(), tick=1)
        rig.server.denied.clear()
        await rig.until(lambda: "alerts/outbox-full" not in rig.retained(), tick=5)
        await until_waiting(rig, [])  # the alert ends before: as soon as there is some room


async def test_a_disk_without_room_for_the_watermark_costs_nothing(
    rig: PublisherRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise StateFull

    async with heard(rig):
        await send(rig, 2)
        with monkeypatch.context() as patch:
            patch.setattr(rig.store, "acknowledge", full)
            say(rig, 2)
            await rig.quiet()
        assert await rig.waiting() == [1, 2]
        say(rig, 2)
        await until_waiting(rig, [])


async def test_a_disk_without_room_to_retire_costs_nothing(rig: PublisherRig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: object) -> None:
        raise StateFull

    async with rig.running():
        with monkeypatch.context() as patch:
            patch.setattr(rig.store, "retire", full)
            await send(rig, 2)
        assert await rig.waiting() == [1, 2]
        await send(rig, 1)
        await until_waiting(rig, [])
        assert without_repeats(rig.sent()) == [1, 2, 3]
