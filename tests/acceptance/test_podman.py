"""On Podman's Docker-compatible socket the agent decides and reports, and removes nothing, whatever its mode."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.adapters.docker.engine import DockerEngine
from tests.acceptance.collector import AcceptanceCollector
from tests.acceptance.host import NAME, RealHost
from tests.support import images, mosquitto, podman, proc

pytestmark = pytest.mark.real

WHY = "this is Podman "


@pytest.fixture(scope="module")
def engine() -> Iterator[podman.Podman]:
    with podman.running() as private:
        yield private


@pytest.fixture
def host(engine: podman.Podman, tmp_path: Path) -> RealHost:
    engine.empty()
    return RealHost(engine, tmp_path)


def imported(host: RealHost, ref: str) -> str:
    host.torch(ref)
    return images.image_id(host.engine, ref)


def test_what_is_due_is_reported_and_stays_with_the_reason_in_the_log_the_plan_and_an_alert(
    host: RealHost, fleet_broker: mosquitto.Mosquitto, collector: AcceptanceCollector
) -> None:
    host.report_to(fleet_broker)
    host.configure(agent={"mode": "enforce"}, policy={"rules": [{"match": "team/kept:*", "keep": True}]})
    due, kept, used = (imported(host, f"team/{name}:1") for name in ("due", "kept", "used"))
    images.create(host.engine, "team/used:1")
    with host.agent():
        proc.eventually(lambda: len(host.events(due)) == 2)
        planned = host.json("plan")
        info = proc.eventually(lambda: collector.read(f"{NAME}/info"))
        proc.eventually(lambda: collector.alerts(NAME) == {"engine-observe-only"})
    assert (info["mode"], info["engine"]["version"]) == ("observe", host.engine.api("GET", "/version")[1]["Version"])
    assert {row["id"]: row["reason"] for row in planned["images"]} == {
        due: "idle-ttl",
        kept: "rule-keep",
        used: "in-use",
    }
    assert [row["held_by"] for row in planned["images"] if row["id"] == due] == ["observe"]
    assert f"nothing is removed here, whatever agent.mode says: {WHY}" in " ".join(planned["notes"])
    assert host.count_in_log("nothing is removed here") == 1
    decision, outcome = (event["data"] for event in host.events(due))
    assert (decision["mode"], decision["held_by"], outcome["outcome"]) == ("observe", "observe", "would-remove")
    assert {row["outcome"] for row in host.json("sweep")["images"]} <= {"would-remove", None}
    assert {row["Id"] for row in host.engine.images()} == {due, kept, used}


def test_check_fails_for_an_agent_that_is_to_enforce_and_only_says_so_for_one_that_observes(host: RealHost) -> None:
    code, found = host.checks()
    assert (code, found["engine"]["ok"], WHY in found["engine"]["detail"]) == (1, False, True)
    assert 'agent.mode = "observe"' in found["engine"]["hint"]
    host.configure(agent={"mode": "observe"})
    code, found = host.checks()
    assert (code, found["engine"]["ok"], WHY in found["engine"]["detail"]) == (0, True, True)
    assert "agent.mode" not in str(host.json("plan")["notes"])


async def test_a_removal_there_takes_an_untagged_parent_along(host: RealHost) -> None:
    """Why it is only observed. Where this fails, see whether Podman fulfils the whole contract by now."""
    parent = imported(host, "team/base:1")
    child = images.build_child(host.engine, "team/base:1", "team/child:1")
    other = imported(host, "team/base:1")
    assert {row["Id"] for row in host.engine.images()} == {parent, child, other}
    client = DockerEngine(host.engine.url)
    await client.connect()
    await client.delete(child)
    await client.close()
    assert {row["Id"] for row in host.engine.images()} == {other}
