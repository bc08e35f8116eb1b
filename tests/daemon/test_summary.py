"""One line a day in the log says that all is well, or what is not."""

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from structlog.testing import capture_logs

from agent.core.figures import Freed
from agent.core.policy.disk import DiskUsage
from agent.core.protocol.alerts import AlertId
from agent.daemon import summary
from agent.daemon.build import Components
from tests.support.builders import NOW, decide, make_disk, make_usage, pytorch_image
from tests.support.fake_host import FakeHost, HostedAgent
from tests.support.times import DAY, HOUR, START

NOTHING = Freed(0, estimated=False)


@asynccontextmanager
async def logging_daily(agent: HostedAgent) -> AsyncIterator[None]:
    parts = Components(
        agent.engine, agent.store, agent.host_report, agent.ingestor, agent.watcher, agent.planner, agent.sweeper
    )
    task = asyncio.create_task(summary.log_daily(parts, agent.clock))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def summaries(logged: list[MutableMapping[str, Any]]) -> list[tuple[str, str]]:
    return [(line["log_level"], line["event"]) for line in logged if line["action"] == "summary"]


async def test_it_comes_after_the_first_plan_and_then_once_a_day(host: FakeHost, image: str) -> None:
    agent = host.agent(ttl=30 * DAY)
    with capture_logs() as logged:
        async with logging_daily(agent):
            await agent.clock.advance(60)
            assert summaries(logged) == []
            await agent.watch()
            await agent.sweeper.sweep()
            await agent.clock.advance(1)
            assert summaries(logged) == [("info", "1 image, 0 due, freed 0 B in 24 h, next in 30 d")]
            await agent.end_watcher_as_proven()
            await agent.clock.advance(DAY - 2 * HOUR)
            assert len(summaries(logged)) == 1
            agent.host_report.raise_alert(AlertId.TWO_AGENTS, "another agent", START)
            await agent.clock.advance(2 * HOUR)
    assert summaries(logged)[1:] == [
        ("warning", "1 image, 0 due, freed 0 B in 24 h, next in 29 d, 1 alert: two-agents")
    ]


def test_it_names_images_the_disk_the_freed_bytes_and_the_next_eviction() -> None:
    kept, due = pytorch_image("kept"), pytorch_image("due")
    plan = decide(kept, due, usages=(make_usage(kept, first_seen=NOW - 11 * DAY),))
    freed = Freed(125_000_000, estimated=False)
    assert summary.describe(plan, make_disk(330), freed, NOW) == [
        "2 images",
        "1 due",
        "disk 33 %",
        "freed 125 MB in 24 h",
        "next in 3 d",
    ]


def test_freed_bytes_that_are_an_estimate_say_so() -> None:
    assert summary.describe(decide(), None, Freed(5, estimated=True), NOW) == [
        "0 images",
        "0 due",
        "freed about 5 B in 24 h",
    ]


def test_a_file_system_that_runs_out_of_inodes_says_so() -> None:
    disk = DiskUsage(used_bytes=1, available_bytes=99, used_inodes=9, available_inodes=1)
    assert "inodes 90 %" in summary.describe(decide(), disk, NOTHING, NOW)
