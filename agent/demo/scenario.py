"""The plot: a host with too many images, people who use some, and the agent that tells them apart."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.text import Text

from agent.core import units
from agent.core.protocol import payloads
from agent.demo import images
from agent.demo.console import Console, two_lines
from agent.demo.environment import DemoEnvironment
from agent.demo.errors import DemoError
from agent.demo.images import IMAGES, DemoImage

BEFORE_USE = 0.4  # of the TTL, after the agent's start: time to read the plan, and to use an image before it is due
IN_TIME = 2.0  # TTLs until everything that should go is gone
BUSYBOX = "/bin/busybox"


class Scenario:
    """Played once on one stage."""

    def __init__(self, environment: DemoEnvironment, console: Console) -> None:
        self._stage = environment
        self._screen = console
        self._ids: dict[str, DemoImage] = {}  # image ID -> its role
        self._due: dict[str, datetime] = {}  # image ID -> when it goes, as the last plan says
        self._decided: dict[str, payloads.DecisionData] = {}
        self._became: dict[str, payloads.OutcomeData] = {}
        self._kept: list[dict[str, Any]] = []

    async def run(self) -> None:
        """All scenes in order. Raises Trouble where the stage or the agent does not do what it should."""
        await self._stage.open()
        self._screen.title("torchkeeper demo: the real agent, a host full of images, and about a minute")
        await self._set_up()
        await self._make_images()
        await self._put_to_work()
        await self._start_agent()
        await self._show_plan()
        await self._use_one()
        await self._watch()
        await self._take_stock()

    async def _set_up(self) -> None:
        environment, console = self._stage, self._screen
        mine = "An engine of the demo's own: it touches none of yours, and it is gone at the end."
        yours = f"Your engine, as asked: the agent may only touch images named {images.OWN_PREFIX}..."
        console.step("the stage", mine if environment.private else yours)
        with console.busy("starting the engine and the broker"):
            await environment.open_engine()
            version = await environment.client.version()
            console.event(f"Docker Engine {version}", environment.client.url)
            missing = await environment.open_broker()
        if missing:
            console.event("no broker", f"{missing}; the agent works the same without one")
        else:
            console.event("MQTT broker", environment.broker_url)

    async def _make_images(self) -> None:
        environment, console = self._stage, self._screen
        console.step("the images", "What stands on a GPU host after some months, at a thousandth of the size.")
        with console.live(lambda: f"making image {len(self._ids) + 1} of {len(IMAGES)}"):
            for role in IMAGES:
                image_id = await images.make(
                    environment.client, role, environment.prefix, environment.run_id, environment.busybox
                )
                self._ids[image_id] = role
        rows = [(two_lines(self._name(role), role.part), f"{role.size_mb} MB") for role in IMAGES]
        console.table(("IMAGE AND ITS PART", "OWN LAYER"), rows)

    async def _put_to_work(self) -> None:
        environment, console = self._stage, self._screen
        console.step("people at work", "Only uses tell what is needed; neither the age nor the size does.")
        labels = {images.LABEL: environment.run_id}
        name = f"train-llm-{environment.run_id[:4]}"
        await environment.client.run(self._name(images.TRAINING), name, (BUSYBOX, "sleep", "600"), labels, rm=False)
        console.event(f"$ docker run -d {self._name(images.TRAINING)}", f"{name}: a training job, for weeks")
        environment.write_config()
        reason = "paper deadline in June"
        began = time.monotonic()
        await environment.command("pin", self._name(images.PINNED), "--reason", reason)
        environment.keep_pace(time.monotonic() - began)
        console.event(f"$ torchkeeper pin {self._name(images.PINNED)}", f"reason: {reason}")

    async def _start_agent(self) -> None:
        environment, console = self._stage, self._screen
        console.step("the agent", "It reads the engine's events, so that even a run of a second counts as a use.")
        self._feed: AsyncIterator[payloads.Event] = await environment.open_feed()
        with console.busy("starting the agent"):
            self._agent = await environment.start_agent(set(self._ids))
        self._began = datetime.now(UTC)
        policy = f"policy.ttl = {environment.ttl:.0f}s instead of 14 d, min_age = 0s, protect = *:latest"
        console.event(
            "$ torchkeeper run", policy, "every image counts as first seen now: a new agent never evicts at once"
        )

    async def _show_plan(self) -> None:
        console = self._screen
        console.step("the plan", "Every image has a reason at every moment, before anything happens.")
        plan = await self._plan()
        console.event("$ torchkeeper plan")
        console.table(
            ("DECISION", "REASON", "IMAGE AND WHY"),
            [(row["action"], row["reason"], two_lines(_ref(row), row["explanation"])) for row in plan],
        )

    async def _use_one(self) -> None:
        environment, console = self._stage, self._screen
        console.step("one short run", "The container is gone a second later; only who watches events knows of it.")
        idle = (datetime.now(UTC) - self._began).total_seconds()
        with console.live(self._countdown):
            await asyncio.sleep(max(0.0, BEFORE_USE * environment.ttl - idle))
        before, role = self._due_of(images.USED), images.USED
        labels = {images.LABEL: environment.run_id}
        name = f"quick-test-{environment.run_id[:4]}"
        container = await environment.client.run(self._name(role), name, (BUSYBOX, "sleep", "1"), labels, rm=True)
        await environment.client.wait_until_removed(container)
        used = next(row for row in await self._plan() if self._ids[row["id"]] is role)
        moved = units.format_duration(self._due_of(role) - before)
        console.event(
            f"$ docker run --rm {self._name(role)}",
            f"last used by {used['last_used_by']}; its deadline moved by {moved}",
        )

    async def _watch(self) -> None:
        console = self._screen
        console.step("the clock runs out", f"Each is checked again right before the act. {self._source()}")
        first = min(self._due.values())
        console.event(f"the first goes in {units.format_duration(_left(first))}")
        try:
            async with asyncio.timeout(IN_TIME * self._stage.ttl):
                with console.live(self._countdown):
                    await self._follow()
        except TimeoutError:
            self._agent.check()
            late = ", ".join(self._ids[image_id].ref for image_id in self._waited_for())
            raise DemoError(f"the agent did not remove {late} in time: {self._agent.last_words()}") from None

    async def _follow(self) -> None:
        """Show each outcome as it is told, until nothing more should go."""
        async for event in self._feed:
            if event.subject in self._ids:
                self._show(event.subject, payloads.data_of(event))
            if not self._waited_for():
                return

    def _show(self, image_id: str, data: payloads.EventData | None) -> None:
        if isinstance(data, payloads.DecisionData):
            self._decided[image_id] = data
        if isinstance(data, payloads.OutcomeData):
            self._show_outcome(image_id, data)

    def _show_outcome(self, image_id: str, became: payloads.OutcomeData) -> None:
        if image_id in self._became:  # a broker may deliver twice
            return
        self._became[image_id] = became
        self._due.pop(image_id, None)
        explanation = self._decided[image_id].explanation
        self._screen.event(f"{self._name(self._ids[image_id])} -> {became.outcome}", explanation, word="EVICT")

    async def _take_stock(self) -> None:
        """Ask the engine, not the agent, what is gone."""
        there = {image["Id"] for image in await self._stage.client.images()}
        gone = self._ids.keys() - there
        self._kept = [row for row in await self._plan() if row["id"] in there]
        wrong = [role.ref for image_id, role in self._ids.items() if role.goes != (image_id in gone)]
        if wrong:
            raise DemoError(f"the agent decided otherwise than the story has it: {', '.join(wrong)}")

    # What the audience takes home

    def summary(self) -> None:
        console = self._screen
        console.title("WHAT WENT, AND WHY")
        gone = [("removed", self._decided[image_id].reason, self._line(image_id)) for image_id in self._became]
        console.table(("", "", ""), gone, indent=0)
        console.title("WHAT STAYED, AND WHY")
        rows = [(row["action"], row["reason"], self._line(row["id"])) for row in self._kept]
        console.table(("", "", ""), rows, indent=0)
        console.title("WHAT IT BROUGHT")
        console.print(self._bytes())
        kept = self._stage.kept if self._stage.kept != self._stage.folder else None
        left = f"Only {kept} is left of the demo, as you asked." if kept else "Nothing of the demo is left here."
        console.print(f"{left} No image, container or daemon of yours was touched.")
        console.title("WHERE TO SEE THIS IN PRODUCTION")
        console.print("Every decision goes out over MQTT: torchkeeper/v1/hosts/<host>/events.")
        console.print("`torchkeeper fleet status --watch` shows all hosts, `torchkeeper fleet decisions`")
        console.print("what they did, from anywhere that reaches the broker.")
        console.title("NEXT")
        console.print("torchkeeper plan     what it would do on this machine, and why; changes nothing")
        if kept:
            console.print(f"torchkeeper history --config {self._stage.config}")

    def _line(self, image_id: str) -> Text:
        role = self._ids[image_id]
        return two_lines(self._name(role), role.why)

    def _bytes(self) -> str:
        estimated = sum(self._decided[image_id].estimated_bytes for image_id in self._became)
        measured = [item.measured_bytes for item in self._became.values() if item.measured_bytes is not None]
        told = f"{len(self._became)} images removed, about {units.format_bytes(estimated)} freed by the estimate"
        return f"{told}, {units.format_bytes(sum(measured))} measured on the disk." if measured else f"{told}."

    # What is asked along the way

    async def _plan(self) -> list[dict[str, Any]]:
        """What `torchkeeper plan` says of the cast; the deadlines are noted."""
        document = json.loads(await self._stage.command("plan", "--json"))
        rows = [row for row in document["images"] if row["id"] in self._ids]
        self._due = {row["id"]: due for row in rows if (due := units.parse_time(row["due"] or ""))}
        return rows

    def _waited_for(self) -> list[str]:
        return [image_id for image_id, role in self._ids.items() if role.goes and image_id not in self._became]

    def _due_of(self, role: DemoImage) -> datetime:
        """Raises Trouble where it has no deadline."""
        due = next((at for image_id, at in self._due.items() if self._ids[image_id] is role), None)
        if due is None:
            raise DemoError(f"the plan has no deadline for {role.ref}; was the machine too slow? Try again")
        return due

    def _countdown(self) -> str:
        if not self._due:
            return "waiting for the agent"
        image_id, at = min(self._due.items(), key=lambda item: item[1])
        return f"next: {self._name(self._ids[image_id])} in {max(0.0, _left(at).total_seconds()):.0f} s"

    def _name(self, role: DemoImage) -> str:
        return self._stage.prefix + role.ref

    def _source(self) -> str:
        return "Told over MQTT." if self._stage.broker_url else "Told from the agent's history."


def _left(at: datetime) -> timedelta:
    return at - datetime.now(UTC)


def _ref(row: dict[str, Any]) -> str:
    return " ".join(row["references"]) or str(row["id"])[7:19]
