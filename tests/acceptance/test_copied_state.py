"""A state folder that came with a copied disk: the agent gets another identity and reports it."""

import json
import sqlite3
from contextlib import closing

import pytest

from agent.adapters import machine
from tests.acceptance.collector import collecting
from tests.acceptance.host import WATCHING, RealHost
from tests.support import engines, mosquitto, proc

pytestmark = engines.ON_ONE


def test_it_is_reported_and_the_host_name_is_learned_anew(lone_host: RealHost) -> None:
    host = lone_host
    host.configure(agent={"host": ""}, policy={"ttl": "1h"})
    image = host.torch("team/kept:1")
    with host.agent():
        first_seen = host.row(image)["idle_since"]
    epoch = meta(host, "epoch")
    pretend_to_be_copied(host)
    with mosquitto.running() as broker, collecting(broker) as collector:
        host.configure(mqtt={"url": broker.url})
        with host.agent():
            name = engine_name(host)
            proc.eventually(lambda: "state-copied" in collector.alerts(name))
            proc.eventually(lambda: collector.read(f"{name}/info"))
            alert, info = collector.read(f"{name}/alerts/state-copied"), collector.read(f"{name}/info")
        assert (alert["severity"], "the state of the-other" in alert["message"]) == ("warning", True)
        assert info["epoch"] == meta(host, "epoch") != epoch
        assert host.count_in_log("alert=state-copied severity=warning state=began") == 1
        assert host.row(image)["idle_since"] == first_seen
        with host.agent():
            proc.eventually(lambda: collector.alerts(name) == set())
    assert host.count_in_log("alert=state-copied severity=warning state=began") == 1


def pretend_to_be_copied(host: RealHost) -> None:
    """Write into the state that it was another machine's, under another name."""
    if not machine.facts(host.state):
        pytest.skip("nothing that can be read here tells this machine from another")
    noted = json.dumps({source: ["another's"] for source in (machine.DMI, machine.DISK, machine.MACHINE_ID)})
    with closing(sqlite3.connect(host.state / "state.db")) as db, db:
        db.execute("UPDATE meta SET value = ? WHERE key = 'machine'", (noted,))
        db.execute("UPDATE meta SET value = 'the-other' WHERE key = 'host'")


def meta(host: RealHost, key: str) -> str:
    with closing(sqlite3.connect(host.state / "state.db")) as db:
        return str(db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0])


def engine_name(host: RealHost) -> str:
    """The host's name as the agent's log has it at the start."""
    assert host.count_in_log(WATCHING)
    starts = [line for line in host.log.read_text().splitlines() if "action=start" in line]
    return starts[-1].partition("host=")[2].split()[0]
