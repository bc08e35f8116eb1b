"""A create that races a removal: one image, the agent against POST /containers/create, a jitter between them.

The agent's side is one of two: `removal.remove` alone, or the evictor with its decision, journal and outcome.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from agent.adapters.clock import SystemClock
from agent.adapters.docker.engine import DockerEngine
from agent.adapters.engine import EngineInfo
from agent.adapters.sqlite import database
from agent.adapters.sqlite.store import Store
from agent.core.model import Class, Image, Verdict
from agent.core.policy.decision import Action, Decision, Outcome, Reason
from agent.core.protocol import payloads
from agent.daemon import build
from agent.eviction.evictor import Evictor
from agent.tracking.engine_view import EngineView
from agent.tracking.layer_probes import LayerProbes, Probing
from tests.chaos import api, archive
from tests.support import dockerd
from tests.support.fake_host import TOLERANCE, prove, remove_image
from tests.support.fakes.stalls import FakeStallDetector
from tests.support.stores import named_store

TAGS = 3  # at most, per image
BATCH = 24  # images loaded at once
EARLIEST, LATEST = -0.6, 1.4  # when a create is asked, in lengths of a removal from the removal's beginning
CLEAN_FAILURES = (404, 409, 500)  # how an engine may turn a create down
PAUSE = 0.005  # seconds until the maker looks again whether more images are wanted
STARTED = 10  # containers of a kind that are started, a quarter of a second each


class Remover(Protocol):
    """The agent's side of a race."""

    async def remove(self, image: Image) -> Outcome: ...

    async def faults(self) -> list[str]:
        """What is wrong with what it has written, once all races are over."""
        ...


@dataclass(slots=True)
class Races:
    """What many races on one engine came to. `faults` is empty where all went well."""

    ended: Counter[str] = field(default_factory=Counter)  # what became of the image and the container -> rounds
    asked: Counter[str] = field(default_factory=Counter)  # when the create was asked -> rounds
    started: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    rounds: int = 0

    def __str__(self) -> str:
        told = (
            ", ".join(f"{name} {count}" for name, count in sorted(each.items())) for each in (self.asked, self.ended)
        )
        return f"{self.rounds} races: {'; '.join(told)}; {sum(self.started.values())} containers started"


async def race_removals(engine: dockerd.Dockerd, *, rounds: int, seed: int) -> Races:
    """Creates against `removal.remove`."""
    agent = DockerEngine(engine.url)
    info = await agent.connect()
    try:
        return await _race(engine, Bare(agent, info), rounds, seed)
    finally:
        await agent.close()


async def race_evictions(engine: dockerd.Dockerd, folder: Path, *, rounds: int, seed: int) -> Races:
    """Creates against the evictor, with a state file in a folder."""
    agent = DockerEngine(engine.url)
    info = await agent.connect()
    try:
        async with _store(folder) as store:
            return await _race(engine, await Evicting.of(agent, info, store), rounds, seed)
    finally:
        await agent.close()


@asynccontextmanager
async def _store(folder: Path) -> AsyncIterator[Store]:
    store = named_store(database.open_file(folder, datetime.now(UTC))[0], folder, "gpu-01")
    try:
        yield store
    finally:
        await store.close()


async def _race(engine: dockerd.Dockerd, remover: Remover, rounds: int, seed: int) -> Races:
    async with api.calling(engine.socket) as client:
        course = Course(client, remover, random.Random(seed))
        async with asyncio.TaskGroup() as group:  # a maker that fails ends the races
            group.create_task(course.make(), name="make-images")
            await course.run(rounds)
        course.races.faults += await remover.faults()
    return course.races


# The agent's side


@dataclass(frozen=True, slots=True)
class Bare:
    """`removal.remove`, and nothing around it."""

    agent: DockerEngine
    info: EngineInfo

    async def remove(self, image: Image) -> Outcome:
        return (await remove_image(self.agent, image, containerd=self.info.containerd_store)).outcome

    async def faults(self) -> list[str]:
        return []


@dataclass(frozen=True, slots=True)
class Evicting:
    """The evictor: a decision before each removal, an outcome after it."""

    evictor: Evictor
    view: EngineView
    store: Store

    @classmethod
    async def of(cls, agent: DockerEngine, info: EngineInfo, store: Store) -> "Evicting":
        ingestor = build.make_ingestor(
            agent,
            store,
            SystemClock(),
            gap_tolerance=TOLERANCE,
            probes=LayerProbes(agent, probing=Probing(wanted=False)),
            stalls=FakeStallDetector(),
        )
        view = ingestor.view
        view.engine = info
        prove(view)
        view.engine_store = await store.engine(info)
        return cls(Evictor(agent, ingestor, store, SystemClock()), view, store)

    async def remove(self, image: Image) -> Outcome:
        item = Decision(
            image=image,
            verdict=Verdict(kind=Class.PYTORCH),
            action=Action.EVICT,
            reason=Reason.IDLE_TTL,
            explanation="due",
            due=datetime.now(UTC),
        )
        return (await self.evictor.evict(item)).outcome

    async def faults(self) -> list[str]:
        left = await self.view.engine_store.load_removals()
        events = await self.store.load_events(datetime.fromtimestamp(0, UTC))
        decided = Counter(event.data["decision_id"] for event in events if event.type == payloads.DecisionData.type)
        ended = Counter(event.data["decision_id"] for event in events if event.type == payloads.OutcomeData.type)
        return [
            *(f"a journal row is left: {removal}" for removal in left),
            *(f"{count} decisions {name}, {ended[name]} outcomes" for name, count in decided.items() if count != 1),
            *(f"{decided[name]} decisions {name}, {count} outcomes" for name, count in ended.items() if count != 1),
            *(f"no outcome of {name}" for name in decided.keys() - ended.keys()),
            *(f"no decision of {name}" for name in ended.keys() - decided.keys()),
        ]


# The course


@dataclass(frozen=True, slots=True)
class Create:
    """A create, as it was answered."""

    at: float  # when it was asked, on the monotonic clock
    status: int
    answer: str


class Course:
    """One engine, and the images that wait for their race."""

    def __init__(self, client: api.Api, remover: Remover, dice: random.Random) -> None:
        self.races = Races()
        self._api = client
        self._remover = remover
        self._dice = dice
        self._images: asyncio.Queue[Image] = asyncio.Queue()
        self._over = False
        self._made = 0
        self._usual = 0.02  # seconds that a removal took lately

    async def run(self, rounds: int) -> None:
        try:
            while self.races.rounds < rounds:
                await self._round(await self._images.get())
        finally:
            self._over = True

    async def make(self) -> None:
        """Images of one to three tags, every other with a layer of its own, as long as races want them."""
        while not self._over:
            if self._images.qsize() >= BATCH:
                await asyncio.sleep(PAUSE)
                continue
            names = [self._names() for _ in range(BATCH)]
            await self._api.load_all(archive.make((each, bool(n % 2)) for n, each in enumerate(names)))
            for each in names:
                self._images.put_nowait(Image(id=await self._api.image_id(each[0]), references=each))

    def _names(self) -> tuple[str, ...]:
        self._made += 1
        return tuple(f"race/{self._made}:{tag}" for tag in range(1, 2 + self._dice.randrange(TAGS)))

    async def _round(self, image: Image) -> None:
        self.races.rounds += 1
        name = f"racer-{self.races.rounds}"
        head_start = self._dice.uniform(EARLIEST, LATEST) * self._usual
        (outcome, began, ended), created = await asyncio.gather(
            self._remove(image, max(0.0, -head_start)), self._create(name, image, max(0.0, head_start))
        )
        self.races.asked["before" if created.at < began else "after" if created.at > ended else "within"] += 1
        tags = await self._api.tags(image.id)
        self._judge_image(image, outcome, tags)
        survived = await self._judge_container(name, image, created)
        self.races.ended[f"{'kept' if tags else 'gone'} and {'created' if survived else created.status}"] += 1
        if survived:
            await self._try_out(name, "kept" if tags else "gone")
        if tags == set(image.references):
            self._images.put_nowait(image)  # whole: it can race once more

    async def _remove(self, image: Image, delay: float) -> tuple[Outcome, float, float]:
        """The outcome, and when the removal began and ended."""
        await asyncio.sleep(delay)
        began = time.monotonic()
        outcome = await self._remover.remove(image)
        ended = time.monotonic()
        self._usual += 0.1 * (ended - began - self._usual)
        return outcome, began, ended

    async def _create(self, name: str, image: Image, delay: float) -> Create:
        await asyncio.sleep(delay)
        asked = time.monotonic()
        status, answer = await self._api.create(name, self._dice.choice(image.references))
        return Create(asked, status, str(answer))

    def _judge_image(self, image: Image, outcome: Outcome, tags: set[str] | None) -> None:
        whole = set(image.references)
        if tags not in (None, whole):
            self._fault(f"{image.references} is half there, with {tags}: {outcome}")
        if (outcome is Outcome.REMOVED) != (tags is None):
            self._fault(f"{image.references} has {tags}, and yet {outcome}")

    async def _judge_container(self, name: str, image: Image, created: Create) -> bool:
        """Whether the container is there, as the answer to its create said, with its image's ID."""
        status, found = await self._api.call("GET", f"containers/{name}/json")
        if created.status == 201 and (status != 200 or found["Image"] != image.id):
            self._fault(f"the container of {image.references} was created and then: {status} {found}")
        elif created.status != 201 and (created.status not in CLEAN_FAILURES or status != 404):
            self._fault(f"a create of {image.references} failed with {created} and left {status} {found}")
        return status == 200

    async def _try_out(self, name: str, kind: str) -> None:
        """Look into each: all its layers are there. Start a few. Remove them all."""
        status = (await self._api.call("HEAD", f"containers/{name}/archive", params=[("path", "/bin/busybox")]))[0]
        if status != 200:
            self._fault(f"a container whose image is {kind} has lost its files: {status}")
        if self.races.started[kind] < STARTED:
            self.races.started[kind] += 1
            await self._start(name, kind)
        status, why = await self._api.call("DELETE", f"containers/{name}", params=[("force", "1")])
        if status != 204:
            self._fault(f"a container that raced cannot be removed: {status} {why}")

    async def _start(self, name: str, kind: str) -> None:
        status, why = await self._api.call("POST", f"containers/{name}/start")
        code = (await self._api.call("POST", f"containers/{name}/wait"))[1]["StatusCode"] if status == 204 else -1
        if (status, code) != (204, 0):
            self._fault(f"a container whose image is {kind} does not start: {status} {why} {code}")

    def _fault(self, text: str) -> None:
        self.races.faults.append(f"round {self.races.rounds}: {text}")
