"""Each metric has its name and its value, and no label has a value that others choose."""

import re
from typing import Any

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from agent.adapters import disk
from agent.core.policy.disk import DiskUsage
from agent.core.protocol.alerts import AlertId
from agent.http import metric_families
from tests.http.conftest import Ask, Client, gatherer
from tests.support.builders import GB, MB, REF, pytorch_image
from tests.support.fake_host import PAST_TTL, FakeHost, sweep
from tests.support.times import HOUR, MINUTE, START

Samples = dict[tuple[str, ...], float]
DISK = DiskUsage(used_bytes=30 * GB, available_bytes=70 * GB, used_inodes=5, available_inodes=15)


async def samples(client: Client) -> Samples:
    """All figures of the agent, without its version, and without the buckets of histograms and the process itself."""
    answer = await client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name.removeprefix("torchkeeper_"), *(f"{key}={sample.labels[key]}" for key in sorted(sample.labels))): (
            sample.value
        )
        for family in text_string_to_metric_families(await answer.text())
        for sample in family.samples
        if sample.name.startswith("torchkeeper_") and not sample.name.endswith(("_bucket", "_info"))
    }


def without_zeros(found: Samples) -> Samples:
    return {key: value for key, value in found.items() if value}


async def test_an_agent_that_evicted_one_of_two_images_has_these_figures(
    host: FakeHost, image: str, client_of: Ask, monkeypatch: Any
) -> None:
    monkeypatch.setattr(disk, "space", lambda _root: DISK)
    agent = await host.agent(ttl=2 * HOUR).watch()
    await agent.wait(2 * HOUR + MINUTE)
    assert await sweep(agent) == {REF: "removed"}
    kept = host.docker.add(pytorch_image("kept", "team/kept:1"))
    await agent.ingestor.refresh()
    await agent.sweeper.sweep()
    agent.host_report.raise_alert(AlertId.TWO_AGENTS, "another agent", START)
    found = await samples(await client_of(agent))
    first_seen = agent.usage(kept).first_seen
    assert without_zeros(found) == {
        ("engine_watched",): 1,
        ("enforcing",): 1,
        ("alert", "alert=two-agents", "severity=warning"): 1,
        ("last_sweep_timestamp_seconds",): host.clock.now().timestamp(),
        ("config_last_reload_successful",): 1,
        ("engine_connections_total",): 1,
        ("event_lag_seconds_count",): 3,  # its own untag and delete, and the arrival
        ("evictions_total", "outcome=removed", "reason=idle-ttl"): 1,
        ("freed_bytes_total", "kind=estimated"): 100 * MB,
        ("engine_filesystem_size_bytes",): 100 * GB,
        ("engine_filesystem_used_bytes",): 30 * GB,
        ("engine_filesystem_size_inodes",): 20,
        ("engine_filesystem_used_inodes",): 5,
        ("images", "action=keep", "reason=min-age"): 1,
        ("images_exclusive_bytes", "action=keep", "reason=min-age"): 100 * MB,
        ("due_images", "within=1d"): 1,
        ("due_images", "within=7d"): 1,
        ("due_bytes", "within=1d"): 100 * MB,
        ("due_bytes", "within=7d"): 100 * MB,
        ("next_eviction_timestamp_seconds",): (first_seen + 2 * HOUR).timestamp(),
    }
    zeros = {key[0] for key, value in found.items() if not value}
    assert {"gaps_total", "gap_seconds_total", "regrets_total", "event_buffer_overflows_total"} <= zeros
    assert {"policy_change_pending", "reclaimable_bytes", "stopped_containers_held_bytes"} <= zeros
    assert not {name for name, *_ in found if name.startswith(("broker", "outbox"))}


async def test_an_agent_that_has_never_seen_its_engine_has_figures_too(host: FakeHost, client_of: Ask) -> None:
    host.docker.stop()
    found = await samples(await client_of(host.agent(), observe=True))
    assert (found[("engine_watched",)], found[("enforcing",)]) == (0, 0)
    assert not {name for name, *_ in found if name.startswith(("images", "due", "next", "engine_filesystem", "last"))}


async def test_a_used_image_is_counted_with_the_lag_of_its_events(host: FakeHost, image: str, client_of: Ask) -> None:
    agent = await host.agent().watch()
    host.docker.run(REF, "box", rm=True)
    await agent.wait(1)
    found = await samples(await client_of(agent))
    assert found[("uses_total",)] >= 2
    assert found[("event_lag_seconds_count",)] >= 2


async def test_a_sweep_of_the_daemon_is_timed(host: FakeHost, image: str, client_of: Ask) -> None:
    agent = await host.agent().start()
    found = await samples(await client_of(agent))
    assert found[("sweep_duration_seconds_count",)] >= 1


async def test_a_due_image_that_is_held_is_due_within_each_time(host: FakeHost, image: str, client_of: Ask) -> None:
    agent = await host.agent(observe=True).watch()
    await agent.wait(PAST_TTL)
    await agent.sweeper.sweep()
    found = await samples(await client_of(agent, observe=True))
    due = {key: value for key, value in found.items() if key[0].startswith("due_")}
    assert set(due.values()) == {1, 100 * MB}
    assert found[("reclaimable_bytes",)] == 100 * MB
    assert found[("images", "action=evict", "reason=idle-ttl")] == 1


async def test_with_a_broker_the_outbox_is_shown(host: FakeHost, image: str, client_of: Ask) -> None:
    agent = await host.agent().watch()
    await agent.wait(PAST_TTL)
    await agent.sweeper.sweep()
    await agent.wait(60)
    agent.host_report.figures.broker_connections = 3
    agent.host_report.certificate_expires = START
    found = await samples(await client_of(agent, broker=True))
    assert {key: value for key, value in found.items() if key[0].startswith(("broker", "outbox", "mqtt"))} == {
        ("broker_connected",): 0,
        ("broker_connections_total",): 3,
        ("outbox_rows",): 3,  # the decision, its outcome and the sweep
        ("outbox_oldest_seconds",): 60,
        ("outbox_dropped_total", "reason=outbox-full"): 0,
        ("outbox_dropped_total", "reason=retention"): 0,
        ("outbox_dropped_total", "reason=undeliverable"): 0,
        ("outbox_dropped_total", "reason=missing"): 0,
        ("mqtt_certificate_expiry_timestamp_seconds",): START.timestamp(),
    }


async def test_whoever_accepts_openmetrics_gets_it(host: FakeHost, image: str, client_of: Ask) -> None:
    agent = await host.agent().start()
    client = await client_of(agent)
    answer = await client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    families = openmetrics.text_string_to_metric_families(await answer.text())  # type: ignore[no-untyped-call]
    names = {family.name for family in families}
    assert {"torchkeeper_evictions", "torchkeeper_sweep_duration_seconds", "process_resident_memory_bytes"} <= names


async def test_names_that_others_choose_are_in_no_label(host: FakeHost, client_of: Ask) -> None:
    host.docker.add(pytorch_image("torch", "secret/project:1"))
    agent = await host.agent().start()
    host.docker.run("secret/project:1", "secret-box")
    await agent.wait(PAST_TTL)
    text = await (await (await client_of(agent, broker=True)).get("/metrics")).text()
    assert "secret" not in text
    assert len(re.findall(r"(?m)^torchkeeper_", text)) < 110


async def test_a_state_that_cannot_be_read_leaves_the_other_figures(host: FakeHost, image: str, client_of: Ask) -> None:
    agent = await host.agent().start()
    client = await client_of(agent, broker=True)
    agent.faults.fail("count")
    found = await samples(client)
    assert found[("engine_watched",)] == 1
    assert not {key for key in found if key[0] in ("freed_bytes_total", "outbox_rows")}


async def test_a_refused_configuration_file_is_shown(host: FakeHost) -> None:
    agent = host.agent()
    agent.host_report.raise_alert(AlertId.CONFIG_REFUSED, "policy.ttl: '1x'", START)
    facts = await gatherer(agent, host).facts()
    found = {sample.name: sample.value for family in metric_families.of(facts) for sample in family.samples}
    assert found["torchkeeper_config_last_reload_successful"] == 0
