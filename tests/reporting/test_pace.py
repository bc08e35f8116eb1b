"""When the inventory is published: changed actions at once, the rest at most once in a while, nothing twice."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from agent.adapters.mqtt import broker
from agent.core.protocol import inventory, payloads
from agent.core.protocol.alerts import AlertId
from agent.reporting import publisher
from agent.reporting.pace import Pace
from agent.reporting.pending_inventory import PendingInventory
from agent.reporting.timing import ReportingTiming
from tests.support.builders import NOW, container_of, decide, idle_usage, pulled_image, pytorch_image
from tests.support.messages import make_info, make_inventory, make_inventory_image
from tests.support.publishing import CLIENT_ID, TOPICS, PublisherRig, publisher_rig

EVERY = 60.0  # seconds
CHURN = 180  # containers, one a second


def settings(every: float = EVERY, chance: float = 0.0) -> publisher.Settings:
    return publisher.Settings(inventory_every=every, chance=lambda: chance)


def test_an_inventory_that_says_the_same_later_is_nothing_new() -> None:
    pace, first = Pace(EVERY), make_inventory(make_inventory_image())
    pace.published(PendingInventory.of(first), first, now=0.0)
    later = make_inventory(make_inventory_image(), at=NOW + timedelta(days=1))
    other = make_inventory(make_inventory_image(), disk=payloads.Disk(used_bytes=1))
    pending = PendingInventory.of(later)
    assert pace.wait(pending, now=86400.0) == 0.0
    assert pace.is_new(pending, other)
    assert not pace.is_new(pending, later)
    assert pace.wait(pending, now=86400.0) is None


@pytest.mark.parametrize(
    ("images", "urgent"),
    [
        ([make_inventory_image("a", action="evict"), make_inventory_image("b")], True),
        ([make_inventory_image("a")], True),
        ([make_inventory_image("a"), make_inventory_image("b"), make_inventory_image("c")], True),
        ([make_inventory_image("a", last_used=NOW), make_inventory_image("b")], False),
        ([make_inventory_image("a", reason="in-use"), make_inventory_image("b")], False),
        ([make_inventory_image("b", last_used=NOW), make_inventory_image("a")], False),
    ],
)
def test_an_image_that_comes_goes_or_changes_its_action_is_published_at_once_and_the_rest_waits(
    images: list[payloads.InventoryImage], urgent: bool
) -> None:
    pace = Pace(EVERY)
    before = make_inventory(make_inventory_image("a"), make_inventory_image("b"))
    pace.published(PendingInventory.of(before), before, now=100.0)
    pending = PendingInventory.of(make_inventory(*images))
    assert pace.wait(pending, now=110.0) == (0.0 if urgent else 50.0)
    assert pace.wait(pending, now=170.0) == 0.0


def test_a_new_connection_gets_the_inventory_after_its_pause_whatever_the_last_one_had() -> None:
    pace, inventory_of_both = Pace(EVERY), make_inventory(make_inventory_image())
    same = PendingInventory.of(inventory_of_both)
    pace.published(same, inventory_of_both, now=100.0)
    pace.begin(now=110.0, pause=25.0)
    assert [pace.wait(same, now) for now in (110.0, 134.0, 135.0)] == [25.0, 1.0, 0.0]
    assert pace.wait(None, now=135.0) is None


async def test_while_only_times_move_an_inventory_comes_every_so_often_and_with_the_latest(rig: PublisherRig) -> None:
    async with rig.running(settings=settings()):
        for second in range(300):
            rig.host_report.show_inventory(
                PendingInventory.of(make_inventory(make_inventory_image(last_used=NOW + timedelta(seconds=second))))
            )
            await rig.clock.advance(1)
        sent = rig.payloads(TOPICS.inventory)
        assert 5 <= len(sent) <= 6
        await rig.clock.advance(EVERY)
        assert rig.payloads(TOPICS.inventory)[-1] == (await rig.host_report.inventory.built()).encode()  # type: ignore[union-attr]


async def test_an_action_that_changes_is_published_at_once_and_alerts_are_too(rig: PublisherRig) -> None:
    async with rig.running(settings=settings(every=3600.0)):
        rig.host_report.show_inventory(PendingInventory.of(make_inventory(make_inventory_image())))
        await rig.clock.advance(5)
        rig.host_report.show_inventory(PendingInventory.of(make_inventory(make_inventory_image(last_used=NOW))))
        await rig.clock.advance(5)
        assert len(rig.payloads(TOPICS.inventory)) == 1
        rig.host_report.show_inventory(PendingInventory.of(make_inventory(make_inventory_image(action="evict"))))
        rig.host_report.raise_alert(AlertId.STATE_FULL, "nearly full", NOW)
        await rig.clock.advance(ReportingTiming().report_interval)
        assert len(rig.payloads(TOPICS.inventory)) == 2
        assert "alerts/state-full" in rig.retained()


async def test_actions_that_change_all_the_time_make_one_inventory_in_two_seconds(rig: PublisherRig) -> None:
    async with rig.running(settings=settings(every=3600.0)):
        for number in range(100):
            rig.host_report.show_inventory(
                PendingInventory.of(make_inventory(make_inventory_image(action=("keep", "evict")[number % 2])))
            )
            await rig.clock.advance(0.1)
        assert len(rig.payloads(TOPICS.inventory)) <= 6


async def test_the_first_inventory_is_published_at_the_birth(rig: PublisherRig) -> None:
    rig.host_report.show_inventory(PendingInventory.of(make_inventory()))
    async with rig.running(settings=settings(chance=1.0)):
        assert len(rig.payloads(TOPICS.inventory)) == 1


async def test_a_fleet_that_lost_its_broker_does_not_bring_all_inventories_at_once(rig: PublisherRig) -> None:
    rig.host_report.show_info(make_info())
    rig.host_report.show_inventory(PendingInventory.of(make_inventory()))
    async with rig.running(settings=settings(chance=0.5)):
        await rig.clock.advance(100)
        rig.server.stop()
        rig.server.start()
        await rig.until(rig.online, tick=0.1)
        born = rig.clock.monotonic()
        assert rig.retained() == {"status", "info"}
        await rig.until(lambda: "inventory" in rig.retained(), tick=0.1)
        assert 14 <= rig.clock.monotonic() - born <= 16


async def test_after_a_flood_or_a_row_that_ended_the_connection_the_inventory_does_not_wait(rig: PublisherRig) -> None:
    rig.host_report.show_inventory(PendingInventory.of(make_inventory()))
    async with rig.running(settings=settings(chance=1.0)):
        rig.server.retained.clear()
        rig.server.end(CLIENT_ID, broker.Flooded("fake: too much"))
        await rig.until(lambda: "inventory" in rig.retained(), tick=0.1)
        assert rig.online()
        rig.server.poison = lambda message: message.topic == TOPICS.events
        await rig.add(1)
        await rig.until(lambda: rig.server.connects == 3, tick=0.1)  # the first end over it may be the broker's own
        await rig.until(lambda: rig.server.connects == 4, tick=0.1)
        rig.server.retained.clear()
        await rig.until(lambda: rig.server.connects == 5, tick=0.1)
        began = rig.clock.monotonic()
        await rig.until(lambda: "inventory" in rig.retained(), tick=0.1)
        assert rig.clock.monotonic() - began < 5


async def test_an_inventory_that_ends_connections_delays_nothing_else_and_is_tried_again(rig: PublisherRig) -> None:
    rig.server.poison = lambda message: message.topic == TOPICS.inventory
    rig.host_report.show_info(make_info())
    rig.host_report.show_inventory(PendingInventory.of(make_inventory()))
    await rig.add(2)
    async with rig.running(tick=1):
        await rig.until(lambda: rig.sent() == [1, 2], tick=1)
        await rig.until(lambda: "alerts/inventory-not-taken" in rig.retained(), tick=1)
        before = rig.server.connects
        await rig.pass_time(3600)
        assert 4 <= rig.server.connects - before <= 12
        rig.server.poison = lambda _: False
        await rig.until(lambda: "inventory" in rig.retained(), tick=10)
        await rig.until(lambda: "alerts/inventory-not-taken" not in rig.retained(), tick=1)


# What a host of forty images sends while a container comes and goes each second.


def churn() -> list[payloads.Inventory]:
    """Forty images, one of them used each second and one running all the time; the inventory of each second."""
    pytorch = [
        pytorch_image(f"{number:02}", f"teamai/pytorch:2.{number}-cuda12.8", layers={f"sha256:{number}": 10**9})
        for number in range(38)
    ]
    here = (*pytorch, pulled_image("web", "postgres:16"), pytorch_image("train", "teamai/train:1"))
    running = container_of(here[-1], "train-3", "running")
    idle = [idle_usage(item, last_used=NOW - timedelta(hours=5, minutes=number)) for number, item in enumerate(here)]
    plans = [
        decide(*here, usages=(replace(idle[0], last_used=now), *idle[1:]), containers=(running,), now=now)
        for now in (NOW + timedelta(seconds=second) for second in range(CHURN))
    ]
    return [inventory.build(plan, "gpu-07", payloads.Disk(), ()) for plan in plans]


def changed_bytes(one: payloads.Inventory, other: payloads.Inventory) -> int:
    """The bytes of the images that are not the same in the other inventory."""
    known = {image.model_dump_json() for image in one.images}
    return sum(len(line) for image in other.images if (line := image.model_dump_json()) not in known)


def test_an_image_to_which_nothing_happened_is_byte_for_byte_the_same_in_the_next_inventory() -> None:
    inventories = churn()[::10]
    whole = sum(len(of.encode()) for of in inventories[1:])
    changed = sum(changed_bytes(one, other) for one, other in pairwise(inventories))
    assert {len(of.images) for of in inventories} == {40}
    assert 0 < changed < whole / 25  # one image of forty; where each text counts its time, it is all of them


async def test_a_slower_inventory_and_compression_cost_a_fraction_of_the_bytes(
    rig: PublisherRig, tmp_path: Path
) -> None:
    inventories = churn()
    fast = await published(rig, inventories, every=ReportingTiming().report_interval)
    (tmp_path / "slow").mkdir()
    async with publisher_rig(tmp_path / "slow") as other:
        slow = await published(other, inventories, every=60.0)
    assert len(fast) > 20 * len(slow) > 20
    assert sum(map(len, map(payloads.packed, slow))) < sum(map(len, fast)) / 100


async def published(rig: PublisherRig, inventories: list[payloads.Inventory], every: float) -> list[bytes]:
    """The inventories that were published, where one is shown each second of the fake clock."""
    async with rig.running(settings=settings(every)):
        for shown in inventories:
            rig.host_report.show_inventory(PendingInventory.of(shown))
            await rig.clock.advance(1)
        return rig.payloads(TOPICS.inventory)
