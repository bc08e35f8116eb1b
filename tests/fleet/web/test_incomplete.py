"""What the API says while images of some hosts are not stored yet."""

import asyncio

import pytest

from agent.fleet.web.routes import hosts
from tests.support import fleet_history
from tests.support.builders import make_id
from tests.support.fleet_web import Monitor


async def test_whatever_is_made_from_the_images_of_all_hosts_says_of_how_many_they_are_missing(
    monitor: Monitor,
) -> None:
    await fleet_history.fill(monitor)
    await monitor.start(incomplete=lambda: 7)
    for path in ("/api/images", f"/api/images/{make_id('image')}", "/api/what-if?ttl=7d"):
        status, answer = await monitor.get(path)
        assert (path, status, answer["incomplete_hosts"]) == (path, 200, 7)


async def test_the_images_of_one_host_are_stored_before_they_are_shown(monitor: Monitor) -> None:
    await fleet_history.fill(monitor)
    stored: list[str] = []

    async def complete(host: str) -> None:
        stored.append(host)

    await monitor.start(complete=complete)
    status, answer = await monitor.get(f"/api/hosts/{fleet_history.HOST}")
    assert (status, answer["incomplete"], stored) == (200, False, [fleet_history.HOST])


async def test_a_host_is_shown_with_its_old_images_and_says_so_while_the_database_takes_nothing(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fleet_history.fill(monitor)

    async def complete(_host: str) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(hosts, "COMPLETE_WITHIN", 0.01)
    await monitor.start(complete=complete)
    status, answer = await monitor.get(f"/api/hosts/{fleet_history.HOST}")
    assert (status, answer["incomplete"], len(answer["images"])) == (200, True, 1)
