"""A create that races a removal: one image, `removal.remove` against POST /containers/create, a jitter between them."""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field

from agent import removal
from agent.adapters.docker import DockerEngine
from agent.core.model import Image, Outcome
from tests.chaos import api
from tests.support import dockerd

TAGS = 3  # at most, per image
CLEAN_FAILURES = (404, 409, 500)  # how an engine may turn a create down
MAKERS = 2  # imports at once
PAUSE = 0.005  # seconds until a maker looks again whether more images are wanted
STARTED = 10  # containers of a kind that are started, a quarter of a second each


@dataclass(slots=True)
class Races:
    """What many races on one engine came to. `faults` is empty where all went well."""

    ended: Counter[str] = field(default_factory=Counter)  # what became of the image and the container -> rounds
    started: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    rounds: int = 0

    def __str__(self) -> str:
        told = ", ".join(f"{name} {count}" for name, count in sorted(self.ended.items()))
        return f"{self.rounds} races: {told}; {sum(self.started.values())} containers started"


async def race(engine: dockerd.Dockerd, *, rounds: int, seconds: float, seed: int) -> Races:
    """Race for so many rounds or seconds, whichever is over first."""
    async with api.calling(engine.socket) as client:
        agent = DockerEngine(engine.url)
        info = await agent.connect()
        course = Course(client, agent, random.Random(seed), containerd=info.containerd_store)
        try:
            async with asyncio.TaskGroup() as group:  # a maker that fails ends the races
                for number in range(MAKERS):
                    group.create_task(course.make(), name=f"make-{number}")
                await course.run(rounds, time.monotonic() + seconds)
        finally:
            await agent.close()
    return course.races


class Course:
    """One engine, and the images that wait for their race."""

    def __init__(self, client: api.Api, agent: DockerEngine, dice: random.Random, *, containerd: bool) -> None:
        self.races = Races()
        self._api = client
        self._agent = agent
        self._dice = dice
        self._containerd = containerd
        self._images: asyncio.Queue[Image] = asyncio.Queue()
        self._over = False
        self._made = 0
        self._usual = 0.02  # seconds that a removal took lately

    async def run(self, rounds: int, until: float) -> None:
        try:
            while self.races.rounds < rounds and time.monotonic() < until:
                await self._round(await self._images.get())
        finally:
            self._over = True

    async def make(self) -> None:
        """Images of one to three tags, each with a layer of its own, as long as races want them."""
        while not self._over:
            if self._images.qsize() >= 2 * MAKERS:
                await asyncio.sleep(PAUSE)
                continue
            self._made += 1
            names = [f"race/{self._made}:{tag}" for tag in range(1, 2 + self._dice.randrange(TAGS))]
            image = await self._api.load(names[0], ['CMD ["true"]'], api.tiny_tar())
            for name in names[1:]:
                assert await self._api.tag(image, name) == 201
            self._images.put_nowait(Image(id=image, references=tuple(names)))

    async def _round(self, image: Image) -> None:
        self.races.rounds += 1
        name = f"racer-{self.races.rounds}"
        head_start = self._dice.uniform(-1, 1) * self._usual
        removed, created = await asyncio.gather(
            self._remove(image, max(0.0, -head_start)), self._create(name, image, max(0.0, head_start))
        )
        tags = await self._api.tags(image.id)
        self._judge_image(image, removed, tags)
        survived = await self._judge_container(name, image, created)
        self.races.ended[f"{'kept' if tags else 'gone'} and {'created' if survived else created[0]}"] += 1
        if survived:
            await self._try_out(name, "kept" if tags else "gone")
        if tags == set(image.references):
            self._images.put_nowait(image)  # whole: it can race once more

    async def _remove(self, image: Image, delay: float) -> removal.Result:
        await asyncio.sleep(delay)
        began = time.monotonic()
        result = await removal.remove(self._agent, image, containerd=self._containerd)
        self._usual += 0.1 * (time.monotonic() - began - self._usual)
        return result

    async def _create(self, name: str, image: Image, delay: float) -> tuple[int, str]:
        await asyncio.sleep(delay)
        status, answer = await self._api.create(name, self._dice.choice(image.references))
        return status, str(answer)

    def _judge_image(self, image: Image, removed: removal.Result, tags: set[str] | None) -> None:
        whole = set(image.references)
        if tags not in (None, whole):
            self._fault(f"{image.references} is half there, with {tags}: {removed}")
        if (removed.outcome is Outcome.REMOVED) != (tags is None):
            self._fault(f"{image.references} has {tags}, and yet {removed}")

    async def _judge_container(self, name: str, image: Image, created: tuple[int, str]) -> bool:
        """Whether the container is there, as the answer to its create said."""
        status, found = await self._api.call("GET", f"containers/{name}/json")
        if created[0] == 201 and (status != 200 or found["Image"] != image.id):
            self._fault(f"the container of {image.references} was created and then: {status} {found}")
        elif created[0] != 201 and (created[0] not in CLEAN_FAILURES or status != 404):
            self._fault(f"a create of {image.references} failed with {created} and left {status} {found}")
        return status == 200

    async def _try_out(self, name: str, kind: str) -> None:
        """Start a few, and remove them all."""
        if self.races.started[kind] < STARTED:
            self.races.started[kind] += 1
            status, why = await self._api.call("POST", f"containers/{name}/start")
            code = (await self._api.call("POST", f"containers/{name}/wait"))[1]["StatusCode"] if status == 204 else -1
            if (status, code) != (204, 0):
                self._fault(f"a container whose image is {kind} does not start: {status} {why} {code}")
        status, why = await self._api.call("DELETE", f"containers/{name}", params=[("force", "1")])
        if status != 204:
            self._fault(f"a container that raced cannot be removed: {status} {why}")

    def _fault(self, text: str) -> None:
        self.races.faults.append(f"round {self.races.rounds}: {text}")
