"""The rows of present images, disks, idle spells and regrets: what inventories say."""

from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any

import pytest
from sqlalchemy import event as hooks

from agent.core.protocol import payloads
from agent.fleet.collector.batch import DecisionChange, Incoming
from agent.fleet.history import times
from agent.fleet.history.database import Database
from agent.fleet.history.tables import decisions, disk_days, disk_hours, freed_days, host_images, hosts, idle_spells
from agent.fleet.history.writing import spells
from tests.support import history, messages
from tests.support.history import Collector, event
from tests.support.times import DAY, HOUR, MINUTE, START

NOW = times.to_ms(START)
A, B = "sha256:" + "1" * 64, "sha256:" + "2" * 64


def inventory(*images: payloads.InventoryImage, at: datetime = START, **fields: Any) -> Incoming:
    return history.message("inventory", messages.make_inventory(*images, at=at, **fields), at=at)


def image(image_id: str = A, reference: str = "teamai/a:1", **fields: Any) -> payloads.InventoryImage:
    return messages.make_inventory_image(image_id, reference, **fields)


async def test_each_image_of_a_host_is_one_row_with_all_that_the_inventory_says(collector: Collector) -> None:
    shown = image(
        action="evict",
        reason="idle-ttl",
        held_by="window",
        explanation="idle 15 d",
        last_used=START - 15 * DAY,
        last_used_by="trainer",
        idle_since=START - 15 * DAY,
        deadline=START - DAY,
        estimated_bytes=7,
        warnings=["no tag"],
    )
    await collector.receive(inventory(shown))
    (row,) = await history.rows(collector.database, host_images)
    digest = row.pop("row_digest")
    assert len(digest) == 8
    assert row == {
        "host_id": 1,
        "image_id": 1,
        "names": '["teamai/a:1"]',
        "class": "pytorch",
        "action": "evict",
        "reason": "idle-ttl",
        "held_by": "window",
        "explanation": "idle 15 d",
        "running": 0,
        "last_used": NOW - 15 * times.DAY,
        "last_used_by": "trainer",
        "idle_since": NOW - 15 * times.DAY,
        "deadline": NOW - times.DAY,
        "size": 9_000_000_000,
        "estimated": 7,
        "warnings": '["no tag"]',
    }


async def test_an_inventory_fills_in_its_host(collector: Collector) -> None:
    disk = payloads.Disk(total_bytes=100, used_bytes=90, images_bytes=80, reclaimable_bytes=70)
    made = messages.make_inventory(image(reason="recent", deadline=START + DAY), disk=disk, left_out=3)
    await collector.receive(history.message("inventory", made))
    names = ("inventory_digest", "inventory_at", "images", "images_left_out", "last_seen", "next_eviction")
    sizes = ("disk_used", "disk_total", "images_bytes", "reclaimable")
    (row,) = await history.rows(collector.database, hosts, *names, *sizes)
    assert bytes(row.pop("inventory_digest")) == blake2b(made.encode(), digest_size=8).digest()
    assert row == {
        "inventory_at": NOW,
        "images": 4,
        "images_left_out": 3,
        "last_seen": NOW,
        "next_eviction": NOW + times.DAY,
        "disk_used": 90,
        "disk_total": 100,
        "images_bytes": 80,
        "reclaimable": 70,
    }


async def written(database: Database, collector: Collector, *received: Incoming) -> list[str]:
    """Which tables of images a batch writes to."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    hooks.listen(database._batches.engine, "before_cursor_execute", note)
    await collector.receive(*received)
    hooks.remove(database._batches.engine, "before_cursor_execute", note)
    starts = ("INSERT INTO host_images", "DELETE FROM host_images", "INSERT INTO images")
    return [start for statement in statements for start in starts if statement.startswith(start)]


async def test_only_the_images_that_differ_are_written(collector: Collector) -> None:
    database = collector.database
    await collector.receive(inventory(image(A), image(B, "b:1")))
    before = await history.rows(database, host_images)
    changed = await written(database, collector, inventory(image(A), image(B, "b:1"), at=START + MINUTE))
    assert changed == []
    changed = await written(database, collector, inventory(image(A), image(B, "b:2"), at=START + MINUTE))
    assert changed == ["INSERT INTO host_images"]
    first, second = await history.rows(database, host_images)
    assert (first, second["names"]) == (before[0], '["b:2"]')


async def test_an_image_that_is_gone_has_no_row_and_the_same_on_another_host_keeps_its_own(
    collector: Collector,
) -> None:
    other = history.message("inventory", messages.make_inventory(image(A), host="gpu-08"), host="gpu-08")
    await collector.receive(inventory(image(A), image(B, "b:1")), other)
    await collector.receive(inventory(image(B, "b:1"), at=START + MINUTE))
    assert await history.rows(collector.database, host_images, "host_id", "image_id") == [
        {"host_id": 1, "image_id": 2},
        {"host_id": 2, "image_id": 1},
    ]


async def test_an_inventory_that_was_cleared_leaves_no_image_and_no_figure(collector: Collector) -> None:
    await collector.receive(inventory(image(A), disk=payloads.Disk(total_bytes=100, used_bytes=90)))
    await collector.receive(history.message("inventory", b""))
    assert await history.rows(collector.database, host_images) == []
    (row,) = await history.rows(collector.database, hosts, "images", "disk_used", "inventory_digest")
    assert row == {"images": None, "disk_used": None, "inventory_digest": None}


async def test_an_image_that_is_listed_twice_is_one_row(collector: Collector) -> None:
    await collector.receive(inventory(image(A), image(A, "again:1")))
    assert await history.rows(collector.database, host_images, "names") == [{"names": '["again:1"]'}]


async def test_the_digest_of_a_stored_inventory_is_known_after_a_restart(collector: Collector) -> None:
    received = inventory(image(A))
    await collector.receive(received)
    digest = blake2b(received.payload, digest_size=8).digest()
    assert await collector.database.writer.load_digests() == {"gpu-07": digest}


async def test_the_disk_of_each_hour_and_day_is_the_last_and_the_largest(collector: Collector) -> None:
    begin = START.replace(hour=10)

    def full(used: int | None, at: datetime) -> Incoming:
        return inventory(at=at, disk=payloads.Disk(total_bytes=100, used_bytes=used, reclaimable_bytes=1))

    await collector.receive(full(50, begin), full(80, begin + MINUTE), full(None, begin + 2 * MINUTE))
    await collector.receive(full(60, begin + 3 * MINUTE))
    await collector.receive(full(90, begin + HOUR))
    key = {"host_id": 1, "total": 100, "reclaimable": 1}
    assert await history.rows(collector.database, disk_hours) == [
        key | {"hour": times.to_ms(begin), "used_last": 60, "used_max": 80},
        key | {"hour": times.to_ms(begin + HOUR), "used_last": 90, "used_max": 90},
    ]
    assert await history.rows(collector.database, disk_days) == [
        key | {"day": times.day_of(NOW), "used_last": 90, "used_max": 90}
    ]


@pytest.mark.parametrize(
    ("length", "bucket"),
    [(timedelta(minutes=59), 0), (HOUR, 1), (2 * HOUR, 2), (3 * HOUR, 2), (4 * HOUR, 4), (14 * DAY, 256)],
)
def test_the_bucket_of_a_spell_is_the_power_of_two_at_or_below_its_hours(length: timedelta, bucket: int) -> None:
    assert spells.bucket(length // timedelta(milliseconds=1)) == bucket


async def test_a_use_ends_the_idle_spell_of_an_image_and_adds_it_to_its_repository(collector: Collector) -> None:
    idle: dict[str, Any] = {"last_used": START - 5 * HOUR, "idle_since": START - 5 * HOUR}
    used = {"last_used": START, "idle_since": None, "running": True}
    for number, host in enumerate(("gpu-07", "gpu-08")):
        for fields in (idle, used, {**used, "last_used": START + MINUTE}):
            made = messages.make_inventory(image(A, f"team/a:{number}", **fields), host=host)
            await collector.receive(history.message("inventory", made, host=host))
    assert await history.rows(collector.database, idle_spells) == [
        {"day": times.day_of(NOW), "repository": "team/a", "bucket": 4, "n": 2}
    ]


async def test_an_image_that_only_changed_its_name_ends_no_spell(collector: Collector) -> None:
    idle: dict[str, Any] = {"last_used": START - 5 * HOUR, "idle_since": START - 5 * HOUR}
    await collector.receive(inventory(image(A, **idle)))
    await collector.receive(inventory(image(A, "team/b:1", **idle)))
    assert await history.rows(collector.database, idle_spells) == []


TTL: dict[str, Any] = {"ttl_seconds": DAY.total_seconds()}
DECISION = event(messages.make_decision(1, **TTL))
REMOVED = event(messages.make_outcome(2, at=START + MINUTE))


async def regrets(database: Database) -> list[int | None]:
    return [row["regret_at"] for row in await history.rows(database, decisions, "regret_at")]


async def test_an_image_that_comes_back_within_its_ttl_is_a_regret_once(collector: Collector) -> None:
    await collector.receive(inventory(image(A)), DECISION, REMOVED)
    await collector.receive(inventory(at=START + 2 * MINUTE))
    committed = await collector.receive(inventory(image(A), at=START + HOUR))
    assert committed.regrets == {"gpu-07": 1}
    assert committed.decisions == (DecisionChange(id=1, host="gpu-07", decision_id="d1"),)
    await collector.receive(inventory(at=START + 2 * HOUR))
    again = await collector.receive(inventory(image(A), at=START + 3 * HOUR))
    assert (again.regrets, again.decisions) == ({}, ())
    assert await regrets(collector.database) == [NOW + times.HOUR]
    (day,) = await history.rows(collector.database, freed_days, "evicted", "regrets")
    assert day == {"evicted": 1, "regrets": 1}


@pytest.mark.parametrize(
    "back",
    [
        inventory(image(A), at=START + DAY),  # its TTL has passed
        inventory(image(B), at=START + HOUR),  # a newer build under the same name
        history.message("inventory", messages.make_inventory(image(A), host="gpu-08"), host="gpu-08"),
    ],
    ids=["late", "newer build", "another host"],
)
async def test_what_is_no_regret(collector: Collector, back: Incoming) -> None:
    await collector.receive(DECISION, REMOVED)
    await collector.receive(inventory(at=START + 2 * MINUTE))
    assert (await collector.receive(back)).regrets == {}
    assert await regrets(collector.database) == [None]


@pytest.mark.parametrize("outcome", ["refused", "failed", "would-remove"])
async def test_an_image_that_was_not_removed_cannot_come_back(collector: Collector, outcome: str) -> None:
    await collector.receive(DECISION, event(messages.make_outcome(2, outcome=outcome)))
    await collector.receive(inventory(image(A), at=START + HOUR))
    assert await regrets(collector.database) == [None]


async def test_a_regret_is_found_if_the_events_come_after_the_inventory(collector: Collector) -> None:
    await collector.receive(inventory(image(A), at=START + HOUR))
    assert (await collector.receive(REMOVED)).regrets == {}
    assert (await collector.receive(DECISION)).regrets == {"gpu-07": 1}
    assert await regrets(collector.database) == [NOW + times.HOUR]


async def test_an_inventory_from_right_after_the_removal_may_still_show_the_image(collector: Collector) -> None:
    await collector.receive(inventory(image(A), at=START + MINUTE + timedelta(seconds=5)))
    await collector.receive(DECISION, REMOVED)
    assert await regrets(collector.database) == [None]
