"""What `torchkeeper fleet status` costs with ten thousand hosts, beside a bare aiomqtt reader of the same messages.

`python -m tests.benchmarks.fleet_status` measures only this.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiomqtt

from agent.core.protocol import payloads
from tests.support import mosquitto, proc
from tests.support.messages import make_info, make_inventory, make_inventory_image, make_status, topic

HOSTS = 10_000
IMAGES = 20  # of each host: an inventory of 10 kB
IN_FLIGHT = 200  # publishes at once
READER = """
import asyncio, sys, aiomqtt
async def main(port, count):
    async with aiomqtt.Client("127.0.0.1", port, max_queued_incoming_messages=None) as client:
        for rest in ("status", "info", "inventory"):
            await client.subscribe(f"torchkeeper/v1/hosts/+/{rest}", qos=1)
        async for message in client.messages:
            count -= 1
            if not count:
                return
asyncio.run(main(*map(int, sys.argv[1:])))
"""


@dataclass(frozen=True)
class Cost:
    """What a process took: seconds in all, seconds of CPU, megabytes at most; and the lines that it printed."""

    wall: float
    cpu: float
    resident: float
    lines: int


def measure(hosts: int = HOSTS) -> list[str]:
    with mosquitto.running() as broker, tempfile.TemporaryDirectory() as folder:
        asyncio.run(_publish(broker.port, hosts))
        config = proc.write_config(Path(folder) / "c.toml", mqtt={"url": broker.url})
        floor = _run([sys.executable, "-c", READER, str(broker.port), str(3 * hosts)], Path(folder))
        costs = {
            name: _run([*proc.command(), "fleet", *arguments, "--config", str(config)], Path(folder))
            for name, arguments in (("fleet status", ["status"]), ("fleet status --json", ["status", "--json"]))
        }
    assert all(cost.lines > hosts for cost in costs.values())
    return [_line(f"{name}, {hosts:,} hosts", cost, floor) for name, cost in costs.items()]


def _line(name: str, cost: Cost, floor: Cost) -> str:
    return (
        f"{name:35} {cost.wall:.1f} s, {cost.cpu:.1f} s of CPU, {cost.resident:.0f} MB; "
        f"{cost.cpu / floor.cpu:.1f} x the CPU of a bare reader ({floor.wall:.1f} s, {floor.cpu:.1f} s, "
        f"{floor.resident:.0f} MB)"
    )


def _run(argv: Sequence[str], folder: Path) -> Cost:
    output = folder / "out"
    with output.open("wb") as out:
        began = time.monotonic()
        process = subprocess.Popen(argv, stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, argv
    wall, cpu = time.monotonic() - began, usage.ru_utime + usage.ru_stime
    return Cost(wall, cpu, usage.ru_maxrss / 1000, output.read_bytes().count(b"\n"))


async def _publish(port: int, hosts: int) -> None:
    """The retained topics of all hosts."""
    now = datetime.now(UTC)
    images = (
        make_inventory_image(f"sha256:{number:064}", f"teamai/pytorch:{number}", deadline=now + timedelta(days=number))
        for number in range(IMAGES)
    )
    disk = payloads.Disk(total_bytes=2 * 10**12, used_bytes=10**12, reclaimable_bytes=10**11)
    parts = {
        "status": make_status(at=now).encode(),
        "info": make_info().encode(),
        "inventory": make_inventory(*images, disk=disk, at=now).encode(),
    }
    print(f"publishing {hosts:,} hosts with inventories of {len(parts['inventory']) / 1000:.1f} kB ...", flush=True)
    async with aiomqtt.Client("127.0.0.1", port) as client:
        client.pending_calls_threshold = 10 * IN_FLIGHT
        free = asyncio.Semaphore(IN_FLIGHT)

        async def publish(host: str, rest: str, payload: bytes) -> None:
            async with free:
                await client.publish(topic(rest, host), payload, qos=1, retain=True)

        async with asyncio.TaskGroup() as group:
            for number in range(hosts):
                for rest, payload in parts.items():
                    group.create_task(publish(f"gpu-{number:05}", rest, payload))


if __name__ == "__main__":
    for line in measure(int(sys.argv[1]) if len(sys.argv) > 1 else HOSTS):
        print(line, flush=True)
