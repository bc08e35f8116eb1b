"""The event stream is cut a hundred times while containers come and go: no use of an image is lost, on any engine.

The truth is what the same engine tells a reader that is connected to it directly, and is never cut.
"""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.config import sections
from agent.core.usage.events import USES
from agent.tracking import position
from tests.faults.live_agent import LiveAgent, import_torch_image
from tests.support import engines, proc, proxy
from tests.support.dockerd import Dockerd
from tests.support.proxy import Proxy

CUTS = 100
RESTARTS = 4  # of the agent, by SIGKILL, spread over the cuts
IMAGES = 6
LASTING = 8.0  # seconds for all the cuts, beside the outages
OUTAGES = 2  # expected, of a few seconds each
PAUSE = 0.06  # seconds at most between two uses of a user
MANY = 10_000  # uses of one image
REMEMBERED = 150  # rows of any kind in one outage; the engine remembers 256, and what is under way adds a few
LISTING = timedelta(seconds=10)  # at most, on a slow machine
SEED = 20
STREAM = r"^/events\?(?!.*until)"


@pytest.fixture(scope="session", params=engines.HEAVY)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


Used = tuple[str, str, str, datetime]  # image ID, container ID, action, time


def _at(row: dict[str, Any]) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=row["timeNano"] // 1000)


@dataclass
class Truth:
    """What a reader of the engine itself has seen: the last event of each image's containers."""

    image_of: dict[str, str] = field(default_factory=dict)  # container -> image, as the users asked for it
    rows: list[dict[str, Any]] = field(default_factory=list)
    out_since: int | None = None  # how many rows there were when the outage began; None: there is none

    def is_all_remembered(self) -> bool:
        """Whether the engine still remembers what happened in the outage. What it forgets is a gap, and no loss."""
        return self.out_since is None or len(self.rows) - self.out_since < REMEMBERED

    def uses(self) -> set[Used]:
        """Every use of the images under test."""
        mine = [row for row in self.rows if row["Actor"]["ID"] in self.image_of and row["Action"] in USES]
        return {(self.image_of[row["Actor"]["ID"]], row["Actor"]["ID"], row["Action"], _at(row)) for row in mine}

    def last_used(self) -> dict[str, datetime]:
        """Image ID -> its last use."""
        return {image: at for image, _, _, at in sorted(self.uses(), key=lambda used: used[3])}

    async def ended(self) -> bool:
        """Whether the end of every container was reported."""
        return self.image_of.keys() <= {row["Actor"]["ID"] for row in self.rows if row["Action"] == "destroy"}


@asynccontextmanager
async def independent_reader(engine: Dockerd) -> AsyncIterator[Truth]:
    truth = Truth()
    reader, writer = await asyncio.open_unix_connection(engine.socket, limit=2**20)
    writer.write(b"GET /events HTTP/1.0\r\nHost: engine\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")

    async def read() -> None:
        while line := await reader.readline():
            truth.rows.append(json.loads(line))

    task = asyncio.create_task(read(), name="independent-reader")
    try:
        yield truth
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        writer.close()


async def use(engine: Dockerd, truth: Truth, image: str, chance: random.Random) -> None:
    """What `docker create` and `docker run --rm` do, by the API; removed at once, or after it ran."""

    async def api(method: str, path: str, body: object = None) -> Any:
        return (await asyncio.to_thread(engine.api, method, path, body))[1]

    made = {"Image": image, "Cmd": ["true"], "HostConfig": {"NetworkMode": "none"}}
    cid = (await api("POST", "/containers/create", made))["Id"]
    truth.image_of[cid] = image
    if chance.random() < 0.15:  # it costs ten times as much as the rest
        await api("POST", f"/containers/{cid}/start")
        if chance.random() < 0.5:
            await api("POST", f"/containers/{cid}/wait")
    await api("DELETE", f"/containers/{cid}?force=1")


async def using(engine: Dockerd, truth: Truth, images: list[str], chance: random.Random, enough: asyncio.Event) -> None:
    while not enough.is_set():
        if not truth.is_all_remembered():
            await asyncio.sleep(PAUSE)
            continue
        await use(engine, truth, chance.choice(images), chance)
        await asyncio.sleep(chance.uniform(0, PAUSE))


@dataclass
class Cutter:
    """Cuts an agent's streams at random moments, and kills the agent itself now and then."""

    between: Proxy
    truth: Truth
    start: Callable[[], Awaitable[LiveAgent]]
    chance: random.Random
    restarts: int = 0
    _cut: int = 0

    @property
    def done(self) -> int:
        """How many streams were cut."""
        return self._cut + sum(call.fault is not None and call.status == 200 for call in self.between.calls)

    async def cut(self, agent: LiveAgent) -> LiveAgent:
        """Cut the streams a hundred times: at a moment, or in the middle of a line. The agent that is left."""
        while self.done < CUTS:
            if self.chance.random() < 0.3:
                self.between.on("GET", STREAM, proxy.cut(self.chance.randrange(1500)))
            if self.chance.random() < 0.5:  # else it may be cut while it catches up; if always, it could never
                await agent.ready()
            await asyncio.sleep(self.chance.uniform(0, LASTING / CUTS * 2))
            agent.check()
            self._cut += self.between.cut_streams()
            if self.chance.random() < OUTAGES / CUTS:
                await self._be_out(agent)
            if self.done > CUTS * (self.restarts + 1) / (RESTARTS + 1):
                await agent.kill()
                agent = await self.start()
                self.restarts += 1
        self.between.heal()
        return agent

    async def _be_out(self, agent: LiveAgent) -> None:
        """The engine cannot be reached, for longer than the overlap of what is read again."""
        self.truth.out_since = len(self.truth.rows)
        self.between.on("GET", "/", proxy.REFUSE, times=None)
        self.between.cut_streams()
        await asyncio.sleep(2.5)
        self.between.heal()
        await agent.ready()
        self.truth.out_since = None


async def test_no_use_is_lost_over_a_hundred_cuts(engine: Dockerd, tmp_path: Path) -> None:
    engine.empty()
    await asyncio.sleep(position.OVERLAP.total_seconds())  # ends of other tests' containers are older then
    images = [import_torch_image(engine, f"team/torch:{number}") for number in range(IMAGES)]
    chance, enough = random.Random(SEED), asyncio.Event()
    async with proxy.before(engine.socket, tmp_path) as between, independent_reader(engine) as truth:

        async def start() -> LiveAgent:
            usage = sections.UsageSection(gap_tolerance=timedelta())
            return await LiveAgent(between.url, tmp_path, usage=usage).start(sweeping=False)

        agent = await start()
        await agent.ready()
        users = [asyncio.create_task(using(engine, truth, images, chance, enough)) for _ in range(2)]
        cutter = Cutter(between, truth, start, chance)
        agent = await cutter.cut(agent)
        enough.set()
        await asyncio.gather(*users)
        await agent.ready()
        await proc.eventually_async(truth.ended)
        try:
            await compare(agent, truth)
            assert await agent.gaps() == []
        finally:
            await agent.kill()
    print(f"{cutter.done} cuts, {cutter.restarts} restarts, {len(truth.image_of)} containers, {len(truth.rows)} events")


async def compare(agent: LiveAgent, truth: Truth) -> None:
    """Every use is on disk as soon as all was taken in, and no image counts as used before its true last use.

    It may count as used a moment later: a listing that was under way saw a container run that has ended since.
    """

    async def all_there() -> bool:
        agent.check()
        return await recorded(agent, truth) >= truth.uses()

    with contextlib.suppress(AssertionError):
        await proc.eventually_async(all_there)
    assert truth.uses() - await recorded(agent, truth) == set()
    usages, true = await agent.usages(), truth.last_used()
    late = [(usages[image].last_used or at) - at for image, at in true.items()]
    assert len(late) == IMAGES
    assert all(timedelta() <= by < LISTING for by in late), late


async def recorded(agent: LiveAgent, truth: Truth) -> set[Used]:
    engine_store, images = agent.components.ingestor.view.engine_store, set(truth.image_of.values())
    kept = [use for image in images for use in await engine_store.load_uses(image, MANY)]
    return {(use.image_id, use.container_id, use.action, use.at) for use in kept}
