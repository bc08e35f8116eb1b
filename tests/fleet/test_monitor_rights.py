"""A monitor with the rights at the broker that the README gives it, and what `fleet what-if` asks it."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent.adapters.mqtt import broker
from agent.config import sections
from agent.core.protocol import payloads
from agent.core.protocol.topics import Topics
from tests.support import monitor as process
from tests.support import mosquitto, proc
from tests.support.messages import make_decision, make_info, make_inventory, make_inventory_image, make_status

MONITOR, HOST = "torchkeeper-monitor", "gpu-07"
GB = 1_000_000_000
POLICY = {"policy": sections.Policy().model_dump(mode="json")}


@pytest.fixture(scope="module")
def server() -> Iterator[mosquitto.Mosquitto]:
    with mosquitto.running(users=dict.fromkeys((MONITOR, HOST), "secret"), acl=mosquitto.ACL) as running:
        yield running


def login(server: mosquitto.Mosquitto, user: str, folder: Path) -> dict[str, str]:
    secret = folder / "secret"
    secret.write_text("secret\n")
    return {"url": server.url, "username": user, "password_file": str(secret)}


@pytest.fixture
def running(server: mosquitto.Mosquitto, tmp_path: Path) -> Iterator[process.Monitor]:
    made = process.Monitor(server.url, tmp_path)
    own = {"listen": f"127.0.0.1:{made.port}", "database": f"sqlite:///{made.database}"}
    proc.write_config(made.config, mqtt=login(server, MONITOR, tmp_path), monitor=own)
    made.start_connected()
    yield made
    made.stop()


async def report(server: mosquitto.Mosquitto, folder: Path) -> payloads.Ack:
    """Publish as a host: what is there, and a decision. Returns the acknowledgement that the host receives."""
    now, topics = datetime.now(UTC), Topics("torchkeeper", HOST)
    idle = now - timedelta(days=8)
    image = make_inventory_image(idle_since=idle, deadline=idle + timedelta(days=14), estimated_bytes=5 * GB)
    disk = payloads.Disk(total_bytes=100 * GB, used_bytes=90 * GB)
    retained = {
        topics.status: make_status(at=now),
        topics.info: make_info(policy=POLICY, at=now),
        topics.inventory: make_inventory(image, disk=disk, at=now),
    }
    options = broker.options(sections.Mqtt.model_validate(login(server, HOST, folder)), "agent")
    async with broker.connect(options) as connection, asyncio.timeout(proc.PATIENCE):
        await connection.subscribe(topics.ack)
        for topic, payload in retained.items():
            await connection.publish(topic, payload.encode(), retain=True)
        await connection.publish(topics.events, make_decision(1, at=now).encode())
        async for message in connection.messages():
            ack = payloads.decode(payloads.Ack, message.payload)
            if ack is not None and ack.seq:
                return ack
    raise AssertionError("the connection ended")


def what_if(running: process.Monitor) -> dict[str, Any]:
    done = proc.torchkeeper("fleet", "what-if", "--ttl", "7d", "--json", config=running.config)
    assert (done.returncode, done.stderr) == (0, "")
    return dict(json.loads(done.stdout))


@pytest.mark.real
def test_the_rights_that_the_readme_gives_a_monitor_are_enough(
    server: mosquitto.Mosquitto, running: process.Monitor, tmp_path: Path
) -> None:
    ack = asyncio.run(report(server, tmp_path))
    assert ack == payloads.Ack(collector="main", epoch="e", seq=1)
    (decision,) = running.get("/api/decisions")["decisions"]
    assert (decision["host"], decision["decision_id"]) == (HOST, "d1")
    assert "Denied" not in server.output()

    proc.eventually(lambda: what_if(running)["images"])
    answer = what_if(running)
    assert (answer["images"], answer["bytes"], [host["host"] for host in answer["hosts"]]) == (1, 5 * GB, [HOST])
    run = partial(proc.torchkeeper, "fleet", "what-if", config=running.config)
    shown = run("--ttl", "7d")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "A TTL of 7d would evict 1 image on 1 host, at least 5.0 GB" in " ".join(shown.stdout.split())
    assert shown.stdout.splitlines()[-1].split() == [HOST, "1", "5.0", "GB", "90", "%", "85", "%"]
    assert max(map(len, shown.stdout.splitlines())) <= 80
