"""What the broker retains about a host, and what it gets when the agent starts and stops."""

import pytest

from agent import __version__
from tests.acceptance.collector import AcceptanceCollector, collecting
from tests.acceptance.host import NAME, RealHost, age
from tests.support import engines, images, mosquitto, proc

BIRTH_FIELDS = {"state", "session", "at", "agent_id"}


@engines.ON_BOTH_ENDS
def test_status_info_and_inventory_are_retained(host: RealHost, fleet_broker: mosquitto.Mosquitto) -> None:
    image, other = host.torch("team/kept:1", size_mb=2), host.plain("team/web:1")
    host.configure(policy={"ttl": "1h"})
    images.run(host.engine, "team/kept:1", name="trainer")
    with host.agent(), collecting(fleet_broker) as first:
        first.await_image(NAME, image, lambda item: item["reason"] == "in-use")
        with collecting(fleet_broker, "latecomer") as late:
            proc.eventually(lambda: len(late.found) == 3)
            status, info, inventory = (late.read(f"{NAME}/{topic}") for topic in ("status", "info", "inventory"))
    assert late.found == {f"{NAME}/status", f"{NAME}/info", f"{NAME}/inventory"}
    assert (set(status), status["state"]) == (BIRTH_FIELDS, "online")
    assert (info["version"], info["mode"], info["agent_id"]) == (__version__, "enforce", status["agent_id"])
    assert (info["engine"]["driver"], info["policy"]["policy"]["ttl"]) == (
        host.engine.api("GET", "/info")[1]["Driver"],
        "1h",
    )
    assert "secret" not in str(info)
    assert [item["id"] for item in inventory["images"]] == [image, other]
    row = inventory["images"][0]
    assert {key: row[key] for key in ("references", "class", "action", "reason", "last_used_by", "torch_version")} == {
        "references": ["team/kept:1"],
        "class": "pytorch",
        "action": "keep",
        "reason": "in-use",
        "last_used_by": "trainer",
        "torch_version": "2.4.0",
    }
    assert age(row["last_used"]) >= age(row["idle_since"]) > 0 > age(row["deadline"])
    assert inventory["totals"] == {"in-use": 1, "not-pytorch": 1}
    assert 0 < inventory["disk"]["used_bytes"] < inventory["disk"]["total_bytes"]
    assert inventory["decisions"] == []


@engines.ON_ONE
def test_the_inventory_has_the_last_decisions_with_their_outcome(
    host: RealHost, collector: AcceptanceCollector
) -> None:
    image = host.torch("team/idle:1")
    with host.agent():
        proc.eventually(lambda: collector.read(f"{NAME}/inventory").get("decisions"))
    last = collector.read(f"{NAME}/inventory")["decisions"]
    assert [(item["image_id"], item["reason"], item["outcome"]) for item in last] == [(image, "idle-ttl", "removed")]
    assert image not in [item["id"] for item in collector.read(f"{NAME}/inventory")["images"]]


@engines.ON_ONE
@pytest.mark.parametrize("killed", [False, True], ids=["SIGTERM", "SIGKILL"])
def test_a_host_goes_offline_with_its_agent_and_comes_back_in_another_session(
    host: RealHost, collector: AcceptanceCollector, killed: bool
) -> None:
    for _ in range(2):
        with host.agent() as agent:
            collector.await_state(NAME, "online")
            if killed:
                agent.kill()
            else:
                assert agent.stop() == 0
        collector.await_state(NAME, "offline")
    first, second = (session for state, session in collector.states(NAME) if state == "online")
    assert collector.states(NAME) == [
        ("online", first),
        ("offline", first),
        ("online", second),
        ("offline", second),
    ]
    assert first != second


@engines.ON_ONE
def test_a_broker_that_forgot_everything_gets_everything_again(host: RealHost) -> None:
    users = {NAME: "secret", "collector": "collects"}
    with mosquitto.running(users=users, acl=mosquitto.ACL) as broker:
        host.report_to(broker)
        with host.agent():
            with collecting(broker) as before:
                proc.eventually(lambda: len(before.latest) == 3)
            broker.kill()
            broker.start()
            with collecting(broker) as after:
                proc.eventually(lambda: after.latest.keys() == before.latest.keys(), timeout=2 * proc.PATIENCE)
    assert {topic for topic, payload in after.latest.items() if payload} == before.latest.keys()


@engines.ON_BOTH_ENDS
def test_observe_mode_removes_nothing_and_decides_once(host: RealHost, collector: AcceptanceCollector) -> None:
    first = host.torch("team/first:1")
    with host.agent("--observe"):
        collector.await_event("outcome", first)
        second = host.torch("team/second:1")
        collector.await_event("outcome", second)
    reported = [
        (event["subject"], event["type"], event["data"].get("mode") or event["data"]["outcome"])
        for event in collector.events()
        if event["subject"]
    ]
    assert reported == [
        (first, "torchkeeper.decision", "observe"),
        (first, "torchkeeper.outcome", "would-remove"),
        (second, "torchkeeper.decision", "observe"),
        (second, "torchkeeper.outcome", "would-remove"),
    ]
    assert host.engine.references() == {"team/first:1", "team/second:1"}
    assert collector.events("decision", first)[0]["data"]["held_by"] == "observe"


@engines.ON_ONE
def test_a_use_after_a_would_be_eviction_makes_a_new_due_time(host: RealHost, collector: AcceptanceCollector) -> None:
    image = host.torch("team/busy:1")
    host.configure(agent={"mode": "observe"})
    with host.agent():
        collector.await_event("outcome", image)
        images.run(host.engine, "team/busy:1", rm=True)
        proc.eventually(lambda: len(collector.events("outcome", image)) == 2)
    decisions = collector.events("decision", image)
    assert len({event["data"]["decision_id"] for event in decisions}) == 2
    assert [event["data"]["last_used"] is None for event in decisions] == [True, False]
    assert host.has_image(image)
