"""A broker that sends far too much makes the agent neither large nor idle."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from paho.mqtt.client import Client

from tests.acceptance.collector import PASSWORD, USER, AcceptanceCollector
from tests.acceptance.host import NAME, RealHost
from tests.support import engines, mosquitto, proc
from tests.support.collector import make_client

pytestmark = engines.ON_ONE

ACK = f"torchkeeper/v1/control/{NAME}/ack"
HUGE = 200_000_000  # bytes of one message
SMALL = 100_000  # messages in a burst
MOST = 1.5  # times the resident memory from before


@contextmanager
def another_client(broker: mosquitto.Mosquitto) -> Iterator[Client]:
    """A client that may publish anything."""
    client, connected = make_client("another", "nothing"), threading.Event()
    client.username_pw_set(USER, PASSWORD)
    client.on_subscribe = lambda *_: connected.set()
    client.connect(broker.host, broker.port)
    client.loop_start()
    try:
        assert connected.wait(proc.PATIENCE)
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


def memory(pid: int, name: str) -> int:
    """A line of the process's status, in kB: VmRSS is what it has now, VmHWM the most that it had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


@contextmanager
def staying_small(pid: int) -> Iterator[None]:
    before = memory(pid, "VmRSS")
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew
    yield
    grown = memory(pid, "VmHWM") / before
    assert grown < MOST, f"{before} kB became {grown:.1f} times as much"


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_one_huge_message_that_is_retained_for_the_agent_costs_it_nothing(
    host: RealHost, collector: AcceptanceCollector, fleet_broker: mosquitto.Mosquitto, version: str
) -> None:
    host.configure(mqtt={"version": version})
    with host.agent() as agent, another_client(fleet_broker) as another:
        collector.await_event("outcome", host.torch("team/first:1"))
        with staying_small(agent.pid):
            another.publish(ACK, bytes(HUGE), qos=1, retain=True).wait_for_publish(proc.PATIENCE)
            if version == "3.1.1":
                proc.eventually(
                    lambda: host.count_in_log("action=alert alert=broker-flood severity=warning state=began")
                )
                proc.eventually(lambda: "broker-flood" in collector.alerts(NAME))
            collector.await_event("outcome", host.torch("team/second:1"))
    assert host.count_in_log("action=alert alert=broker-flood severity=warning state=began") == (version == "3.1.1")


def test_a_stream_of_small_messages_costs_it_nothing_and_it_continues_reporting(
    host: RealHost, collector: AcceptanceCollector, fleet_broker: mosquitto.Mosquitto
) -> None:
    with host.agent() as agent, another_client(fleet_broker) as another:
        collector.await_event("outcome", host.torch("team/first:1"))
        epoch = collector.events("outcome")[0]["data"]["epoch"]
        with staying_small(agent.pid):
            for number in range(SMALL):  # each says something else, so that each could be written down
                another.publish(ACK, json.dumps({"collector": "main", "epoch": epoch, "seq": number % 2}))
            proc.eventually(lambda: "broker-flood" in collector.alerts(NAME))
            collector.await_event("outcome", host.torch("team/second:1"))
    assert host.count_in_log("action=alert alert=broker-flood severity=warning state=began") == 1
