"""Inventories are shown at once, and their images are stored later: none is lost, and none comes back."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.core.protocol import payloads
from agent.fleet.collector import inventory_backlog
from agent.fleet.collector.batch import AlertChange, Batch, InventoryChange
from agent.fleet.collector.inventory_writer import LONGEST_WAIT
from agent.fleet.collector.undecodable import ALERT
from agent.fleet.history.errors import HistoryUnavailable
from agent.fleet.history.tables import host_images, hosts
from tests.support import history
from tests.support.collecting import CollectorRig, collector_rig
from tests.support.messages import make_decision, make_inventory, make_inventory_image, make_outcome, topic
from tests.support.times import DAY, HOUR, START

A, B = "sha256:" + "1" * 64, "sha256:" + "2" * 64


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[CollectorRig]:
    async with collector_rig(tmp_path) as made:
        yield made


def send(rig: CollectorRig, *images: str, host: str = "gpu-07", **fields: Any) -> None:
    """Publish the inventory of a host that has images with these IDs."""
    made = make_inventory(*(make_inventory_image(image) for image in images), host=host, **fields)
    rig.send_raw("inventory", made.encode(), host, retain=True)


async def images(rig: CollectorRig) -> list[str]:
    """The hosts whose images are stored, each as often as it has images."""
    names = {row["id"]: row["name"] for row in await history.rows(rig.database, hosts, "id", "name")}
    return sorted(names[row["host_id"]] for row in await history.rows(rig.database, host_images, "host_id"))


def shown(rig: CollectorRig) -> list[str]:
    """The hosts whose inventories viewers have seen."""
    changes = [change for batch, _ in rig.shown for change in batch.changes]
    return [change.host for change in changes if isinstance(change, InventoryChange)]


async def test_an_inventory_is_shown_before_its_images_are_stored_and_they_are_stored_when_there_is_time(
    rig: CollectorRig,
) -> None:
    rig.is_busy = True
    async with rig.running():
        send(rig, A, B)
        await rig.until(lambda: shown(rig) == ["gpu-07"])
        await rig.pass_time(LONGEST_WAIT / 2)
        assert (rig.inventories.waiting, await images(rig)) == (1, [])
        rig.is_busy = False
        await rig.until(lambda: not rig.inventories.waiting)
    assert (await images(rig), shown(rig)) == (["gpu-07", "gpu-07"], ["gpu-07"])


async def test_in_a_fleet_that_is_always_busy_no_inventory_waits_for_longer_than_half_a_minute(
    rig: CollectorRig,
) -> None:
    rig.is_busy = True
    async with rig.running():
        send(rig, A)
        await rig.until(lambda: rig.inventories.waiting)
        await rig.pass_time(LONGEST_WAIT)
        await rig.until(lambda: not rig.inventories.waiting)
    assert await images(rig) == ["gpu-07"]


async def test_events_are_committed_and_acknowledged_while_inventories_wait(rig: CollectorRig) -> None:
    rig.is_busy = True
    async with rig.running():
        send(rig, A)
        rig.send(make_decision(1), make_outcome(2))
        await rig.until(lambda: not rig.unacknowledged())
        assert (await rig.stored(), rig.inventories.waiting) == (2, 1)


async def test_what_waited_when_the_monitor_was_killed_is_stored_by_the_next_run(
    rig: CollectorRig, tmp_path: Path
) -> None:
    rig.is_busy = True
    async with rig.running():
        send(rig, A)
        send(rig, B, host="gpu-08")
        await rig.until(lambda: rig.inventories.waiting == 2)
        assert await images(rig) == []
    async with collector_rig(tmp_path, server=rig.server) as second, second.running():
        await second.until(lambda: len(shown(second)) == 2 and not second.inventories.waiting)
        assert await images(second) == ["gpu-07", "gpu-08"]
    async with collector_rig(tmp_path, server=rig.server) as third, third.running():
        await third.pass_time(2)
        assert shown(third) == []  # both are known: they are not even decoded


async def test_an_inventory_that_is_cleared_while_it_waits_is_never_stored(rig: CollectorRig) -> None:
    rig.is_busy = True
    async with rig.running():
        send(rig, A)
        await rig.until(lambda: rig.inventories.waiting)
        rig.send_raw("inventory", b"", retain=True)
        await rig.until(lambda: not rig.inventories.waiting)
        rig.is_busy = False
        await rig.pass_time(2)
    assert await images(rig) == []
    assert await history.rows(rig.database, hosts, "inventory_digest") == [{"inventory_digest": None}]


async def test_an_inventory_whose_images_cannot_be_read_is_an_alert_and_the_others_are_stored(
    rig: CollectorRig,
) -> None:
    broken = make_inventory(make_inventory_image(A)).encode().replace(b'"size_bytes":9', b'"size_bytes":"x')
    assert payloads.decode(payloads.Inventory, broken) is None
    async with rig.running():
        rig.send_raw("inventory", broken.replace(b'000,"est', b'000","est'))
        send(rig, A, host="gpu-08")
        await rig.until(lambda: len(shown(rig)) == 2 and not rig.inventories.waiting)
    assert await images(rig) == ["gpu-08"]
    await assert_alerts(rig, "gpu-07")


async def test_an_inventory_that_the_database_rejects_is_discarded_alone(rig: CollectorRig) -> None:
    def refuse(batch: Batch) -> None:
        if any(isinstance(change, InventoryChange) and change.host == "gpu-07" for change in batch.changes):
            raise ValueError("no database takes this")

    rig.history.before = refuse
    rig.is_busy = True
    async with rig.running():
        send(rig, A)
        send(rig, A, host="gpu-08")
        await rig.until(lambda: rig.inventories.waiting == 2)
        rig.is_busy = False
        await rig.until(lambda: not rig.inventories.waiting)
    assert await images(rig) == ["gpu-08"]
    await assert_alerts(rig, "gpu-07")


async def assert_alerts(rig: CollectorRig, host: str) -> None:
    alerts = [change for batch, _ in rig.shown for change in batch.changes if isinstance(change, AlertChange)]
    assert [(change.host, change.alert_id) for change in alerts] == [(host, ALERT)]
    assert alerts[0].alert is not None
    assert topic("inventory", host) in alerts[0].alert.message


async def test_inventories_wait_while_the_database_fails_and_are_stored_then(rig: CollectorRig) -> None:
    def fail(batch: Batch) -> None:
        if any(isinstance(change, InventoryChange) for change in batch.changes):
            raise HistoryUnavailable("the disk is full")

    rig.history.before = fail
    async with rig.running():
        send(rig, A)
        await rig.until(lambda: rig.committer.retry.error)
        assert (rig.committer.retry.error, rig.inventories.waiting) == ("the disk is full", 1)
        rig.history.before = lambda _: None
        await rig.until(lambda: not rig.inventories.waiting, tick=1)
    assert (await images(rig), rig.committer.retry.error) == (["gpu-07"], "")


async def test_with_a_full_backlog_storing_it_comes_first(rig: CollectorRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory_backlog, "FULL", 1)
    rig.is_busy = True
    async with rig.running():
        send(rig, A)
        rig.send(make_decision(1))
        await rig.until(lambda: not rig.unacknowledged())
        assert await images(rig) == ["gpu-07"]


async def test_the_inventory_of_a_host_that_somebody_looks_at_is_stored_at_once(rig: CollectorRig) -> None:
    rig.is_busy = True
    async with rig.running():
        send(rig, A)
        send(rig, A, host="gpu-08")
        await rig.until(lambda: rig.inventories.waiting == 2)
        await rig.inventories.store_of("gpu-08")
        await rig.inventories.store_of("gpu-09")
        assert (await images(rig), rig.inventories.waiting) == (["gpu-08"], 1)


async def test_a_regret_that_a_stored_inventory_shows_is_seen_by_viewers(rig: CollectorRig) -> None:
    async with rig.running():
        rig.send(make_decision(1, ttl_seconds=DAY.total_seconds()), make_outcome(2))
        await rig.until(rig.stored)
        await rig.clock.advance(2 * HOUR)
        send(rig, A, at=START + HOUR)
        await rig.until(lambda: any(committed.regrets for _, committed in rig.shown))
    assert [committed.regrets for _, committed in rig.shown if committed.regrets] == [{"gpu-07": 1}]
