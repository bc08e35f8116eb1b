"""What another TTL would evict."""

import itertools
import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from agent.core import units
from agent.core.model import Container, Image, Usage
from agent.core.policy.decision import Plan, Reason
from agent.core.policy.settings import Policy
from agent.core.protocol import inventory, payloads
from agent.fleet.collector.batch import Incoming
from agent.fleet.history import tables, times
from agent.fleet.history.queries import what_if
from agent.fleet.history.reading import read
from agent.fleet.web import documents
from tests.support.builders import GB, container_of, decide, idle_usage, make_image, pulled_image, pytorch_image
from tests.support.history import Collector, message
from tests.support.messages import make_info, make_status
from tests.support.table_history import TableHistory
from tests.support.times import DAY, START

WEEK = 7 * DAY


async def ask(history: TableHistory, ttl: timedelta = WEEK) -> documents.WhatIf:
    return await read(history, lambda connection: what_if.what_if(connection, ttl, START))


async def add_host(history: TableHistory, name: str = "gpu-07", ttl_days: int = 14, **values: object) -> None:
    digest = f"ttl-{ttl_days}"
    await history.policy(digest, {"policy": {"ttl": f"{ttl_days}d"}}, ttl=ttl_days * times.DAY)
    await history.host(name, policy_digest=digest, disk_used=70, disk_total=100, **values)


async def add_image(
    history: TableHistory, name: str, idle: timedelta, ttl: timedelta = 14 * DAY, host: str = "gpu-07", **values: object
) -> None:
    since = START - idle
    await history.host_image(host, name, **{"idle_since": since, "deadline": since + ttl, "estimated": GB, **values})


async def test_an_image_goes_once_it_is_idle_for_as_long_as_the_ttl(history: TableHistory) -> None:
    await add_host(history)
    await add_image(history, "exactly", WEEK)
    await add_image(history, "not-yet", WEEK - timedelta(milliseconds=1))
    await add_image(history, "long-ago", 13 * DAY, estimated=3 * GB)
    assert await ask(history) == documents.WhatIf(
        ttl_seconds=604800.0,
        at=START,
        images=2,
        bytes=4 * GB,
        hosts_with=1,
        offline_left_out=0,
        idle_spells=0,
        ended_with_use=0,
        hosts=[documents.WhatIfHost(host="gpu-07", images=2, bytes=4 * GB, disk_used_bytes=70, disk_total_bytes=100)],
    )


async def test_what_the_ttl_alone_does_not_keep_stays_under_any_ttl(history: TableHistory) -> None:
    await add_host(history)
    for reason in Reason:
        evicts = "evict" if reason.evicts else "keep"
        await add_image(history, reason, 13 * DAY, reason=reason, action=evicts)
    await add_image(history, "running", 13 * DAY, idle_since=None, deadline=None)
    assert (await ask(history)).images == 2  # recent and idle-ttl


async def test_an_image_with_a_ttl_of_its_own_keeps_it(history: TableHistory) -> None:
    await add_host(history)
    await add_image(history, "by-rule", 13 * DAY, ttl=30 * DAY)
    assert (await ask(history)).images == 0


async def test_each_host_is_compared_with_its_own_policy(history: TableHistory) -> None:
    await add_host(history, "gpu-07", ttl_days=14)
    await add_host(history, "gpu-08", ttl_days=30)
    await add_image(history, "a", 10 * DAY, ttl=30 * DAY, host="gpu-07")
    await add_image(history, "a", 10 * DAY, ttl=30 * DAY, host="gpu-08")
    assert [host.host for host in (await ask(history)).hosts] == ["gpu-08"]


async def test_hosts_that_are_offline_or_forgotten_are_left_out(history: TableHistory) -> None:
    await add_host(history, "gone", state="offline")
    await add_host(history, "forgotten", forgotten_at=START)
    for host in ("gone", "forgotten"):
        await add_image(history, "a", 13 * DAY, host=host)
    answer = await ask(history)
    assert (answer.images, answer.offline_left_out) == (0, 1)


async def test_the_hosts_come_by_bytes(history: TableHistory) -> None:
    for number, name in enumerate(("b", "a", "c"), 1):
        await add_host(history, name)
        await add_image(history, "x", 13 * DAY, host=name, estimated=min(number, 2) * GB)
    assert [host.host for host in (await ask(history)).hosts] == ["a", "c", "b"]


async def test_spells_show_how_many_uses_another_ttl_would_have_cut_off(history: TableHistory) -> None:
    await add_host(history)
    day = times.day_of(times.to_ms(START))
    for bucket, number in {64: 1000, 128: 40, 256: 20, 512: 10}.items():
        await history.add(tables.idle_spells, day=day, repository="a", bucket=bucket, n=number)
    await history.add(tables.idle_spells, day=day - 91 * times.DAY, repository="a", bucket=256, n=500)
    await history.decision("evicted", outcome="removed", idle_seconds=14 * 86400.0, at=START - DAY)
    await history.decision("pressed", outcome="removed", idle_seconds=3600.0, at=START - DAY)
    answer = await ask(history)
    # 7 d are 168 h: of the bucket from 128 to 256 h 88/128 are longer; 14 d are 336 h: 80/256 of the next are shorter
    assert (answer.idle_spells, answer.ended_with_use) == (28 + 20 + 10 + 1, 28 + 6)


def generated(chance: random.Random) -> Iterator[tuple[Image, Usage, list[Container]]]:
    """Images of a host, used at any time within the last forty days."""
    for number in range(8):
        name = f"i{chance.random()}"
        make = chance.choice((pytorch_image, pytorch_image, pytorch_image, pulled_image, make_image))
        tag = chance.choice(("1", "latest", "2.9.0-cuda12.8"))
        image = make(name, f"team/{number}:{tag}", layers=chance.randrange(GB))
        used = START - timedelta(hours=chance.randrange(40 * 24), minutes=chance.choice((0, 0, 30)))
        state = chance.choice(("", "", "", "", "exited", "running"))
        yield image, idle_usage(image, last_used=used), [container_of(image, name, state)] if state else []


@pytest.mark.parametrize("seed", range(3))
async def test_it_is_what_the_hosts_themselves_would_plan(collector: Collector, seed: int) -> None:
    chance = random.Random(seed)
    wanted = timedelta(hours=chance.randrange(1, 30 * 24))
    received: list[Incoming] = []
    expected: dict[str, tuple[int, int]] = {}
    for number in range(20):
        host, own = f"gpu-{number:02}", timedelta(days=chance.randrange(1, 30))
        images, usages, containers = zip(*generated(chance), strict=True)
        known: dict[str, Any] = {"usages": usages, "containers": tuple(itertools.chain(*containers))}
        received += report(host, own, decide(*images, **known, rules=Policy(ttl=own)))
        gone = decide(*images, **known, rules=Policy(ttl=wanted)).evictions
        if gone:
            expected[host] = (len(gone), sum(each.estimated_bytes for each in gone))
    await collector.receive(*received)
    answer = await read(collector.database, lambda connection: what_if.what_if(connection, wanted, START))
    assert {host.host: (host.images, host.bytes) for host in answer.hosts} == expected
    assert expected


def report(host: str, ttl: timedelta, plan: Plan) -> list[Incoming]:
    """What the agent of a host publishes of a plan."""
    policy = {"policy": {"ttl": units.duration_text(ttl)}}
    info = payloads.Info.model_validate(make_info(host).model_dump() | {"policy": policy})
    return [
        message("status", make_status(), host=host),
        message("info", info, host=host),
        message("inventory", inventory.build(plan, host, payloads.Disk(), ()), host=host),
    ]
