"""docs/monitoring.md names every metric, every action of the log and every check of readiness, and no other."""

import re
from dataclasses import replace

from agent.core.figures import Waiting
from agent.core.policy.disk import DiskUsage
from agent.http import health, metric_families
from agent.http.health import Condition
from tests.http.conftest import gatherer
from tests.support.fake_host import FakeHost
from tests.support.proc import ROOT
from tests.support.times import START

DOCUMENT = (ROOT / "docs/monitoring.md").read_text()


async def test_it_names_every_metric_and_no_other(host: FakeHost, image: str) -> None:
    agent = await host.agent().start()
    agent.host_report.figures.build_cache_bytes = 1
    facts = replace(
        await gatherer(agent, host, broker=True).facts(),
        disk=DiskUsage(used_bytes=1, available_bytes=1, used_inodes=1, available_inodes=1),
        waiting=Waiting(1, START),
        certificate_expires=START,
    )
    families = list(metric_families.of(facts))
    names = {f"{family.name}_total" if family.type == "counter" else family.name for family in families}
    assert set(re.findall(r"torchkeeper_[a-z_]+", DOCUMENT)) == names


def test_it_names_the_actions_of_the_log_that_people_watch() -> None:
    code = "".join(file.read_text() for file in (ROOT / "agent").rglob("*.py"))
    table = DOCUMENT.split("| `action` |")[1].split("\n\n")[0]
    rows = re.findall(r"(?m)^\| ((?:`[a-z-]+`(?:, )?)+) \|", table)
    named = {name for row in rows for name in re.findall(r"`([a-z-]+)`", row)}
    assert [name for name in sorted(named) if f'action="{name}"' not in code] == []
    assert {"alert", "summary", "evict", "watch", "hang"} <= named


def test_it_names_the_checks_of_readiness() -> None:
    found = health.checks(Condition(watched=True, swept=True, state_error="", alerts={}))
    assert "with the checks `engine`, `state`, `pins` and `sweep`" in DOCUMENT
    assert list(found) == ["engine", "state", "pins", "sweep"]
