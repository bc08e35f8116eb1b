"""A bounded run: real parts under load, each killed at random and started again; then what is left must be right."""

import asyncio
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos import api, verdict
from tests.chaos.load import Load
from tests.support import dockerd, monitor, mosquitto, orphans, proc

WATCHING = "watching the engine"  # what the agent logs once it is proven

HOST = "gpu-01"
TTL = 2.0  # seconds
# part -> seconds from its start to its death, and from its death to its start
LIVES = {"agent": ((2.0, 9.0), (0.0, 1.5)), "broker": ((3.0, 9.0), (0.0, 2.0)),
         "monitor": ((4.0, 14.0), (0.0, 3.0)), "engine": ((8.0, 16.0), (0.0, 1.0))}  # fmt: skip
FREEZES = ((3.0, 12.0), 1.0, 60.0)  # seconds from one freeze of the agent to the next, the shortest and the longest
FROZEN = 0.2  # of a run that one freeze may take at the most
AMID = 0.6  # of the kills come as soon as a removal has begun, where one does
WAITING = 4.0  # seconds for that
SETTLING = 2 * proc.PATIENCE  # that all may take to come to rest


@dataclass(slots=True)
class Place:
    """The parts of one run, all running."""

    folder: Path
    engine: dockerd.Dockerd
    broker: mosquitto.Mosquitto
    monitor: monitor.Monitor
    agent: proc.Daemon
    kills: Counter[str]
    faults: list[str]
    agents_turn: asyncio.Lock = field(default_factory=asyncio.Lock)  # one thing at a time is done to the agent
    frozen_seconds: list[float] = field(default_factory=list)  # of each freeze

    def part(self, name: str) -> proc.Daemon:
        parts: dict[str, proc.Daemon] = {
            "agent": self.agent, "broker": self.broker, "monitor": self.monitor, "engine": self.engine
        }  # fmt: skip
        return parts[name]

    def kill(self, name: str) -> None:
        """SIGKILL. That it still lived is part of the test."""
        part = self.part(name)
        if part.returncode() is not None:
            self.faults.append(f"the {name} ended by itself, with {part.returncode()}:\n{part.tail(15)}")
        self.kills[name] += 1
        part.kill()

    def begin_anew(self) -> None:
        """Monitor and agent, in this order: neither still waits to connect, and nothing is sent to nobody."""
        self.kill("agent")
        self.kill("monitor")
        self.monitor.start_connected()
        before = self.agent.output().count(WATCHING)
        self.agent.start()
        self.agent.wait_until(lambda: self.agent.output().count(WATCHING) > before)  # a signal before it is there kills


async def run(seconds: float, seed: int) -> verdict.Verdict:
    """Chaos for so long, and what was found. Ends by itself, some minutes later at most."""
    with _place() as place:
        # Promise 5 begins with the first watch: the agent cannot know of uses before that.
        await asyncio.to_thread(place.agent.wait_until, lambda: WATCHING in place.agent.output())
        async with api.calling(place.engine.socket) as client:
            load = Load(client, seed)
            async with _under(load):
                await _kill_for(place, load, seconds, seed)
            return await _settle(place, load, client)


@asynccontextmanager
async def _under(load: Load) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        group.create_task(load.run(), name="load")
        try:
            yield
        finally:
            load.stopping.set()


# The parts


@contextmanager
def _place() -> Iterator[Place]:
    folder = Path(tempfile.mkdtemp(prefix="tk-chaos-", dir="/tmp"))
    orphans.note_folder(folder)
    try:
        with dockerd.running() as engine, mosquitto.running() as broker:
            config = _configure(folder, engine, broker)
            with monitor.running(broker.url, folder) as hub, proc.agent(folder=folder, config=config) as agent:
                yield Place(folder, engine, broker, hub, agent, Counter(), [])
    finally:
        shutil.rmtree(folder)


def _configure(folder: Path, engine: dockerd.Dockerd, broker: mosquitto.Mosquitto) -> Path:
    return proc.write_config(
        folder / "torchkeeper.toml",
        agent={"host": HOST, "state_dir": folder / "state"},
        docker={"url": engine.url},
        mqtt={"url": broker.url},
        policy={"ttl": f"{TTL}s", "min_age": "0s", "local_images": "evict"},
        limits={"pause": "0s"},
        usage={"gap_tolerance": "0s"},  # so that all blind time is a recorded gap
    )


# Killing


async def _kill_for(place: Place, load: Load, seconds: float, seed: int) -> None:
    until = time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        for number, name in enumerate(LIVES):
            dice = random.Random(seed * 31 + number)
            group.create_task(_kill_again_and_again(place, load, name, dice, until), name=f"kill-{name}")
        longest = min(FREEZES[2], FROZEN * seconds)
        group.create_task(_freeze_again_and_again(place, load, random.Random(seed), until, longest), name="freeze")


async def _kill_again_and_again(place: Place, load: Load, name: str, dice: random.Random, until: float) -> None:
    life, pause = LIVES[name]
    while (wait := dice.uniform(*life)) < until - time.monotonic():
        await asyncio.sleep(wait)
        if dice.random() < AMID:
            await _removal_begun(load, min(WAITING, until - time.monotonic()))
        async with place.agents_turn if name == "agent" else nullcontext():
            await asyncio.to_thread(place.kill, name)
            await asyncio.sleep(dice.uniform(*pause))
            await asyncio.to_thread(place.part(name).start)
    await asyncio.sleep(max(0.0, until - time.monotonic()))


async def _freeze_again_and_again(place: Place, load: Load, dice: random.Random, until: float, longest: float) -> None:
    """SIGSTOP the agent under a storm of events, of which the engine drops most without a mark, and let it go on."""
    between, shortest, _ = FREEZES
    while (wait := dice.uniform(*between)) < until - time.monotonic():
        await asyncio.sleep(wait)
        async with place.agents_turn:
            length = min(dice.uniform(shortest, longest), max(0.0, until - time.monotonic()))
            place.agent.stop_signal()
            with load.storm():
                await asyncio.sleep(length)
            place.agent.cont_signal()
            place.frozen_seconds.append(length)


async def _removal_begun(load: Load, timeout: float) -> None:
    load.untagged.clear()
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            await load.untagged.wait()


# Coming to rest


async def _settle(place: Place, load: Load, client: api.Api) -> verdict.Verdict:
    """Wait until nothing is due and nothing waits; then stop the agent and judge."""
    await asyncio.to_thread(place.begin_anew)
    case = verdict.Case(place.folder, HOST, load.truth, TTL)
    at_rest = await _await(lambda: case.at_rest(place.engine), SETTLING)
    unrest = "" if at_rest else await asyncio.to_thread(case.why_unrest, place.engine)
    for box in load.truth.boxes:
        if box.made and not box.gone:
            await load.look_after(box)
    code = await asyncio.to_thread(place.agent.stop)
    place.faults += [] if at_rest else [f"not at rest after {SETTLING:.0f} s: {unrest}\n{place.agent.tail(40)}"]
    place.faults += [] if code == 0 else [f"the agent ended with {code} on SIGTERM:\n{place.agent.tail(15)}"]
    ended = await asyncio.to_thread(place.monitor.stop)
    place.faults += [] if ended == 0 else [f"the monitor ended with {ended} on SIGTERM:\n{place.monitor.tail(15)}"]
    place.faults += _traceback(place.agent.output().splitlines())
    place.faults += _traceback(place.monitor.output().splitlines())
    return case.judge(place.engine, _done_to(place, load), place.faults)


def _done_to(place: Place, load: Load) -> dict[str, object]:
    """What was done to the parts, in figures."""
    frozen = sum(place.frozen_seconds)
    return {
        "kills": sum(place.kills.values()),
        **{f"of the {name}": count for name, count in sorted(place.kills.items())},
        "freezes": len(place.frozen_seconds),
        "seconds frozen": round(frozen, 1),
        "events a second while frozen": round(load.storm_events / frozen) if frozen else 0,
    }


def _traceback(lines: list[str]) -> list[str]:
    """The first traceback of a log, with what stands around it, as one fault."""
    at = next((number for number, line in enumerate(lines) if "Traceback" in line), None)
    return [] if at is None else ["\n".join(["a traceback in the log:", *lines[max(0, at - 5) : at + 40]])]


async def _await(look: Callable[[], bool], timeout: float) -> bool:
    end = time.monotonic() + timeout
    while not await asyncio.to_thread(look):
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.5)
    return True
