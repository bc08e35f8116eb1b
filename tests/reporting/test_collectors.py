"""A collector that starts gets everything again: once, after a random delay, and not too often."""

import asyncio

import pytest

from agent.adapters.mqtt.broker import Message
from agent.core.protocol import payloads
from agent.core.protocol.alerts import AlertId
from agent.reporting import collectors
from agent.reporting.collectors import Collectors
from agent.reporting.pending_inventory import PendingInventory
from tests.support.fakes.clock import FakeClock
from tests.support.messages import make_info, make_inventory
from tests.support.publishing import CLIENT_ID, TOPICS, PublisherRig
from tests.support.times import START

LONG = collectors.LONGEST_JITTER + collectors.BETWEEN


@pytest.fixture
async def rig(rig: PublisherRig) -> PublisherRig:
    rig.host_report.show_info(make_info())
    rig.host_report.show_inventory(PendingInventory.of(make_inventory()))
    rig.host_report.raise_alert(AlertId.STATE_FULL, "nearly full", START)
    return rig


def birth(session: int, state: str = "online", collector: str = "main") -> Message:
    status = payloads.CollectorStatus.model_validate({"state": state, "session": session, "at": START})
    return Message(f"torchkeeper/v1/collectors/{collector}/status", status.encode(), retain=True)


def published(rig: PublisherRig) -> dict[str, int]:
    """How often each topic was published."""
    topics = {
        "status": TOPICS.status,
        "info": TOPICS.info,
        "inventory": TOPICS.inventory,
        "alert": TOPICS.alert("state-full"),
    }
    return {name: len(rig.payloads(topic)) for name, topic in topics.items()}


async def test_a_birth_makes_the_agent_publish_everything_again(rig: PublisherRig) -> None:
    async with rig.running():
        await rig.settle()
        assert set(published(rig).values()) == {1}
        rig.server.route(birth(1))
        await rig.until(lambda: set(published(rig).values()) == {2}, tick=0.5)
        await rig.clock.advance(LONG)
        assert set(published(rig).values()) == {2}


async def test_a_birth_that_was_seen_a_death_and_rubbish_ask_for_nothing(rig: PublisherRig) -> None:
    async with rig.running():
        rig.server.route(birth(1))
        await rig.until(lambda: published(rig)["info"] == 2, tick=0.5)
        await rig.clock.advance(LONG)
        for message in (
            birth(1),
            birth(2, "offline"),
            Message(birth(1).topic, b"rubbish"),
            Message(birth(1).topic, b"", retain=True),
            Message("torchkeeper/v1/collectors/a/b/status", birth(3).payload),
        ):
            rig.server.route(message)
        await rig.clock.advance(LONG)
        assert published(rig)["info"] == 2


async def test_a_collector_that_is_there_already_asks_for_nothing_and_not_after_a_reconnect(rig: PublisherRig) -> None:
    rig.server.route(birth(1))
    async with rig.running():
        await rig.clock.advance(LONG)
        assert published(rig)["info"] == 1
        rig.server.cut(CLIENT_ID)
        await rig.until(lambda: published(rig)["info"] == 2, tick=0.5)
        await rig.clock.advance(LONG)
        assert published(rig)["info"] == 2


async def test_a_flood_of_births_is_answered_every_ten_seconds(rig: PublisherRig) -> None:
    async with rig.running():
        await rig.settle()
        for number in range(600):
            rig.server.route(birth(number, collector=f"c-{number % 7}"))
            await rig.clock.advance(0.1)
        await rig.until(lambda: published(rig)["info"] > 2)
        assert 5 <= published(rig)["info"] <= 1 + 60 / collectors.BETWEEN + 1


async def test_a_birth_makes_the_agent_send_again_what_the_collector_has_not_confirmed(rig: PublisherRig) -> None:
    await rig.add(5)
    await rig.store.acknowledge(rig.store.epoch, 2, START)
    async with rig.running():
        await rig.until(lambda: rig.sent() == [3, 4, 5])
        rig.server.route(birth(1))
        await rig.clock.advance(collectors.LONGEST_JITTER)  # long before it would send them again by itself
        await rig.until(lambda: rig.sent() == [3, 4, 5, 3, 4, 5])


async def test_the_answer_comes_after_a_random_part_of_the_longest_wait() -> None:
    clock, shares = FakeClock(), iter([0.25, 1.0])
    known = Collectors(clock, lambda: next(shares))
    for session, wait in ((1, 0.25 * collectors.LONGEST_JITTER), (2, collectors.BETWEEN)):
        asked = asyncio.create_task(known.wait_for_birth())
        known.receive_status("main", Message("", birth(session).payload))
        await clock.advance(wait - 0.5)
        assert not asked.done()
        await clock.advance(0.5)
        assert asked.done()


async def test_without_a_share_given_the_wait_is_random() -> None:
    waits = set()
    for _ in range(20):
        clock = FakeClock()
        known = Collectors(clock)
        asked = asyncio.create_task(known.wait_for_birth())
        known.receive_status("main", Message("", birth(1).payload))
        for _ in range(100):
            if asked.done():
                break
            await clock.advance(0.25)
        waits.add(clock.monotonic())
    assert len(waits) > 1
    assert max(waits) - 1000.0 <= collectors.LONGEST_JITTER + 0.25


async def test_only_so_many_collectors_are_remembered() -> None:
    known = Collectors(FakeClock())
    for number in range(3 * collectors.MOST):
        known.receive_status(f"c-{number}", birth(number))
    assert len(known._sessions) == collectors.MOST
