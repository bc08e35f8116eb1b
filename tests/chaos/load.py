"""The load: images of several kinds made anew, and containers that come and go, all along. Keeps the truth."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import aiohttp

from tests.chaos import api, truth
from tests.chaos.truth import Box, Made, Truth
from tests.support import proc

KINDS = {"idle": 5, "used": 4, "postgres": 1}  # kind -> weight
MOST_IMAGES = 24  # that are there at a time
MOST_POSTGRES = 3
USERS = 6  # containers at a time
STORM = "storm/base:1"  # an image that is not PyTorch, and no part of the truth
STORM_EVENTS = 100.0  # a second, while a storm lasts
STORM_MAKERS = 5  # at a time
AGAIN = 0.1  # seconds between two calls of an engine that is down
LOST = (OSError, TimeoutError, aiohttp.ClientError, ValueError)  # no answer, or half of one
CHANGES = {"postgres": ["ENV PG_MAJOR=16"]}
TORCH = ["ENV PYTORCH_VERSION=2.4.0"]


class Load:
    """Works on one engine until `stopping` is set."""

    def __init__(self, client: api.Api, seed: int) -> None:
        self.truth = Truth()
        self.stopping = asyncio.Event()
        self.untagged = asyncio.Event()  # set when a removal has begun
        self._api = client
        self.storm_events = 0  # of all storms
        self._storming = asyncio.Event()
        self._dice = random.Random(seed)
        self._names = 0

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._make_images(), name="make-images")
            group.create_task(self._observe(), name="observe")
            for number in range(USERS):
                group.create_task(self._use_images(), name=f"use-images-{number}")
            for number in range(STORM_MAKERS):
                group.create_task(self._make_storm(number), name=f"storm-{number}")

    # Images

    async def _make_images(self) -> None:
        while not self.stopping.is_set():
            there = [image for image in self.truth.images.values() if not image.missed]
            if len(there) < MOST_IMAGES:
                few = sum(image.kind == "postgres" for image in there) < MOST_POSTGRES
                kind = self._dice.choices(list(KINDS), list(KINDS.values()))[0]
                with suppress(*LOST, AssertionError):  # an image without an answer is nobody's
                    await self._make(kind if few else "idle")
            await asyncio.sleep(self._dice.uniform(0.1, 0.8))

    async def _make(self, kind: str) -> None:
        self._names += 1
        name = f"{'db/postgres' if kind == 'postgres' else 'team/torch'}-{self._names}"
        image = Made(await self._api.load(f"{name}:1", CHANGES.get(kind, TORCH), api.tiny_tar()), kind, {f"{name}:1"})
        self.truth.images[image.id] = image
        for tag in [f"{name}:2", f"other/{self._names}:1"][: self._dice.randrange(3)]:
            if await self._api.tag(image.id, tag) == 201:
                image.tags.add(tag)

    # Containers

    async def _use_images(self) -> None:
        while not self.stopping.is_set():
            await asyncio.sleep(self._dice.uniform(0.0, 0.5))
            image = self._choose()
            if image is not None:
                await self._use(image)

    def _choose(self) -> Made | None:
        """A used one mostly; an idle one at times, so that creates race removals."""
        there = [image for image in self.truth.images.values() if not image.missed]
        wanted = [image for image in there if image.kind != "idle" or self._dice.random() < 0.1]
        return self._dice.choice(wanted) if wanted else None

    async def _use(self, image: Made) -> None:
        self._names += 1
        box = Box(f"box-{self._names}", image.id)
        if not await self._create(box, image):
            return
        self.truth.boxes.append(box)
        if self._dice.random() < 0.15:
            await self._start(box)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._dice.choice([0.0, 0.3, 4.0]) * self._dice.random()):
                await self.stopping.wait()
        if self.stopping.is_set() and self._dice.random() < 0.5:
            return  # some stay to the end
        await self._remove(box)

    async def _create(self, box: Box, image: Made) -> bool:
        """Whether the container is there. Where the answer was lost, that is asked for."""
        asked = truth.now()
        try:
            status, _ = await self._api.create(
                box.name, self._dice.choice([image.id, *sorted(image.tags)]), ("sleep", "30")
            )
        except LOST:
            status = 201 if (await self.insist("GET", f"containers/{box.name}/json"))[0] == 200 else 0
        if status == 201:
            box.made = truth.now()
            box.uses.append((asked, box.made))
            return True
        self.truth.turned_down += status != 0
        image.missed = image.missed or status == 404
        return False

    async def _start(self, box: Box) -> None:
        asked = truth.now()
        with suppress(*LOST):
            if (await self._api.call("POST", f"containers/{box.name}/start"))[0] == 204:
                box.uses.append((asked, truth.now()))

    async def _remove(self, box: Box) -> None:
        await self.look_after(box)
        box.let_go = asked = truth.now()
        while box.gone is None:
            status, why = await self.insist("DELETE", f"containers/{box.name}", force="1")
            if status in (204, 404):
                box.gone = truth.now()
            elif (box.gone or asked) and (truth.now() - asked).total_seconds() > proc.COMMAND:
                self.truth.faults.append(f"{box.name} cannot be removed: {status} {why}")
                box.gone = truth.now()
            else:
                await asyncio.sleep(AGAIN)
        if status == 204:
            box.uses.append((asked, box.gone))

    async def look_after(self, box: Box) -> None:
        """A container that nobody began to remove is there, with its image's ID."""
        status, found = await self.insist("GET", f"containers/{box.name}/json")
        if status != 200 or found["Image"] != box.image:
            self.truth.faults.append(f"{box.name} of {box.image} was harmed: {status} {found}")

    async def insist(self, method: str, path: str, **params: str) -> tuple[int, Any]:
        """An answer, however often the engine is killed meanwhile (COMMAND at most)."""
        async with asyncio.timeout(proc.COMMAND):
            while True:
                with suppress(*LOST):
                    return await self._api.call(method, path, params=params.items())
                await asyncio.sleep(AGAIN)

    # Storms

    @contextmanager
    def storm(self) -> Iterator[None]:
        """While the block lasts, containers of another image come and go: about STORM_EVENTS a second."""
        self._storming.set()
        try:
            yield
        finally:
            self._storming.clear()

    async def _make_storm(self, number: int) -> None:
        loop, made = asyncio.get_running_loop(), 0
        while not self.stopping.is_set():
            if not self._storming.is_set():
                await asyncio.sleep(AGAIN)
                continue
            began, made = loop.time(), made + 1
            with suppress(*LOST, AssertionError):
                await self._come_and_go(f"storm-{number}-{made}")
            await asyncio.sleep(max(0.0, began + 2 * STORM_MAKERS / STORM_EVENTS - loop.time()))

    async def _come_and_go(self, name: str) -> None:
        """A container that is created and removed: two events."""
        if (await self._api.create(name, STORM))[0] == 404:
            await self._api.load(STORM, CHANGES["postgres"], api.tiny_tar())
        elif (await self._api.call("DELETE", f"containers/{name}"))[0] == 204:
            self.storm_events += 2

    # The engine's own word

    async def _observe(self) -> None:
        """Note when each image went, as far as the engine tells it."""
        while not self.stopping.is_set():
            with suppress(*LOST):
                async for row in self._api.events("image", self.stopping):
                    self._note(row)
            await asyncio.sleep(AGAIN)

    def _note(self, row: dict[str, Any]) -> None:
        image = row["Actor"]["ID"]
        if row["Action"] == "untag":
            self.untagged.set()
        elif row["Action"] == "delete":
            self.truth.deleted.setdefault(image, truth.known(row["timeNano"]))
            if image in self.truth.images:
                self.truth.images[image].missed = True
