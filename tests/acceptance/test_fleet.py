"""The fleet in the terminal of an operator who is on none of its hosts."""

from pathlib import Path

import pytest

from tests.acceptance.collector import PASSWORD, USER, AcceptanceCollector
from tests.acceptance.host import NAME, RealHost, now
from tests.support import dockerd, engines, mosquitto, proc

pytestmark = engines.ON_ONE


@pytest.fixture
def desk(fresh_engine: dockerd.Dockerd, fleet_broker: mosquitto.Mosquitto, tmp_path: Path) -> RealHost:
    """An operator's machine: a broker's address and an account that reads; no engine, no state."""
    folder = tmp_path / "desk"
    folder.mkdir()
    operator = RealHost(fresh_engine, folder)
    operator.configure(docker={"url": f"unix://{folder}/none.sock"})
    operator.report_to(fleet_broker, USER, PASSWORD)
    return operator


def test_the_fleet_shows_a_host_online_and_then_offline(
    host: RealHost, desk: RealHost, collector: AcceptanceCollector
) -> None:
    nobody = desk.run("fleet", "status")
    assert (nobody.returncode, "No agent has reported to it" in nobody.stderr) == (1, True)
    idle = host.torch("team/idle:1")
    kept = host.plain("team/web:1")
    before = now()
    with host.agent() as agent:
        proc.eventually(lambda: collector.read(f"{NAME}/inventory").get("decisions"))
        online = desk.json("fleet", "status")["hosts"]
        images, decisions = desk.json("fleet", "images")["images"], desk.json("fleet", "decisions")["decisions"]
        tables = [desk.output_of("fleet", "status"), desk.output_of("fleet", "decisions")]
        agent.kill()
    collector.await_state(NAME, "offline")
    offline = desk.json("fleet", "status")["hosts"]
    assert [(row["host"], row["state"], row["images"]) for row in online] == [(NAME, "online", 1)]
    assert before <= online[0]["last_seen"] <= now()
    assert 0 < online[0]["disk_used_bytes"] < online[0]["disk_total_bytes"]
    assert [(row["host"], row["state"], row["images"]) for row in offline] == [(NAME, "offline", 1)]
    assert [(row["host"], row["id"], row["reason"]) for row in images] == [(NAME, kept, "not-pytorch")]
    listed = [(row["host"], row["image_id"], row["reason"], row["outcome"]) for row in decisions]
    assert listed == [(NAME, idle, "idle-ttl", "removed")]
    assert f"{NAME} online" in tables[0]
    assert "team/idle:1 idle-ttl removed" in tables[1]
    assert f"{NAME} offline" in desk.output_of("fleet", "status")


def test_without_a_broker_the_fleet_says_what_is_missing(desk: RealHost, fleet_broker: mosquitto.Mosquitto) -> None:
    fleet_broker.stop()
    away = desk.run("fleet", "status")
    desk.configure(mqtt={"url": "", "username": "", "password_file": ""})
    unset = desk.run("fleet", "status", "--json")
    assert (away.returncode, str(fleet_broker.port) in away.stderr) == (1, True)
    assert (unset.returncode, "mqtt.url: is empty" in unset.stderr, unset.stdout) == (2, True, "")
