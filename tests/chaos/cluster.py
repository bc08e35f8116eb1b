"""Three NATS nodes as one cluster, and one of them killed under a burst: no event is lost, and none waits for long."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.adapters.clock import SystemClock
from agent.adapters.mqtt import broker
from agent.config import sections
from tests.interop.parts import Dial, collecting, reporting
from tests.support import nats, proc
from tests.support.collector import Received
from tests.support.publishing import PublisherRig, rigged

HOSTS = 10
EVENTS = 200  # of each host
BURST = 20.0  # seconds that they are spread over
KILLED_AFTER = 8.0  # seconds
AWAY = 15.0  # seconds until the node is back
LIMIT = 60.0  # seconds from when the node is back, which is after the burst, until every event is confirmed


@dataclass(frozen=True, slots=True)
class Found:
    """What a run showed."""

    node: int  # that was killed
    lost: int
    twice: int
    waited: float | None  # seconds from when the node was back until all was confirmed; None: not within the limit
    waiting: dict[str, list[int]]  # host -> rows that still waited then

    @property
    def faults(self) -> list[str]:
        rows = {name: len(numbers) for name, numbers in self.waiting.items()}
        late = [] if self.waited is not None else [f"not confirmed within {LIMIT:.0f} s: {rows}"]
        return [*([f"{self.lost} events of the cluster lost"] if self.lost else []), *late]

    def __str__(self) -> str:
        waited = "not in time" if self.waited is None else f"after {self.waited:.1f} s"
        came = f"{HOSTS * EVENTS} events, {self.lost} lost, {self.twice} twice"
        return f"cluster, node {self.node} killed: {came}, all confirmed {waited}"


async def kill_a_node(seed: int) -> Found:
    """One run. The seed chooses the node: with three in a row one of them leads the streams."""
    victim = seed % 3
    with tempfile.TemporaryDirectory() as folder, nats.cluster() as nodes:
        urls = tuple(node.url for node in nodes)

        def connect(_: str, client_id: str) -> broker.Connect:
            return broker.connector(broker.all_options(sections.Mqtt(url=urls), client_id))

        async with collecting(connect, Path(folder)) as received, _hosts(connect, Path(folder)) as rigs:
            await asyncio.gather(*(_add(rig, number) for number, rig in enumerate(rigs.values())), _kill(nodes[victim]))
            began = time.monotonic()
            done = await _confirmed(rigs, began + LIMIT)
            waited = time.monotonic() - began if done else None
            waiting = {name: rows for name, rig in rigs.items() if (rows := await rig.waiting())}
            return Found(victim, _lost(rigs, received, waiting), received.duplicates(), waited, waiting)


@asynccontextmanager
async def _hosts(connect: Dial, folder: Path) -> AsyncIterator[dict[str, PublisherRig]]:
    async with AsyncExitStack() as stack:
        rigs = {}
        for number in range(HOSTS):
            name = f"host-{number}"
            (folder / name).mkdir()
            rigs[name] = await stack.enter_async_context(rigged(folder / name))
            await stack.enter_async_context(reporting(connect, rigs[name], name, SystemClock()))
        yield rigs


async def _add(rig: PublisherRig, number: int) -> None:
    await asyncio.sleep(number * 0.01)
    for _ in range(EVENTS):
        await rig.add(1)
        await asyncio.sleep(BURST / EVENTS)


async def _kill(node: proc.Daemon) -> None:
    await asyncio.sleep(KILLED_AFTER)
    await asyncio.to_thread(node.kill)
    await asyncio.sleep(AWAY)
    await asyncio.to_thread(node.start)


async def _confirmed(rigs: dict[str, PublisherRig], end: float) -> bool:
    while time.monotonic() < end:
        if all([await rig.store.watermark() == EVENTS for rig in rigs.values()]):
            return True
        await asyncio.sleep(0.2)
    return False


def _lost(rigs: dict[str, PublisherRig], received: Received, waiting: dict[str, list[int]]) -> int:
    """How many events neither the collector nor the outbox has."""
    there = {(epoch, seq) for _, epoch, seq in received.events()}
    kept = {(rigs[name].store.epoch, seq) for name, rows in waiting.items() for seq in rows}
    every = {(rig.store.epoch, seq) for rig in rigs.values() for seq in range(1, EVENTS + 1)}
    return len(every - there - kept)
