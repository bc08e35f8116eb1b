"""The steps of the demo: a host with too many images, people who use some, and the agent that removes the others."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.text import Text

from agent.core import units
from agent.core.protocol import payloads
from agent.demo import images, simulated_hosts
from agent.demo.console import Console, two_lines
from agent.demo.environment import DemoEnvironment
from agent.demo.errors import DemoError
from agent.demo.images import IMAGES, DemoImage
from agent.demo.process import Daemon

BEFORE_USE = 0.4  # of the TTL, after the agent's start: time to read the plan, and to use an image before it is due
IN_TIME = 2.0  # TTLs until everything that should be removed is gone
BUSYBOX = "/bin/busybox"


class Scenario:
    """One run of the demo in one environment."""

    def __init__(self, environment: DemoEnvironment, console: Console) -> None:
        self._environment = environment
        self._console = console
        self._ids: dict[str, DemoImage] = {}  # image ID -> the image
        self._due: dict[str, datetime] = {}  # image ID -> when it is due, by the last plan
        self._decisions: dict[str, payloads.DecisionData] = {}
        self._outcomes: dict[str, payloads.OutcomeData] = {}
        self._kept: list[dict[str, Any]] = []
        self._monitor: Daemon | None = None  # with the page only
        self.finished = False  # whether the story was told to its end

    async def run(self) -> None:
        """Run all steps in order. Raises DemoError if the environment or the agent does not do what it should."""
        await self._environment.open()
        self._console.title("torchkeeper demo: the real agent, a host full of images, and about a minute")
        await self._set_up()
        await self._make_images()
        await self._use_images()
        await self._start_agent()
        await self._show_plan()
        await self._run_one_briefly()
        await self._watch()
        await self._check_result()
        self.finished = True
        if self._monitor is not None:
            await self._stay(self._monitor)

    async def _set_up(self) -> None:
        environment, console = self._environment, self._console
        private = "A private engine, which is removed at the end; yours is not touched."
        given = f"The engine that you gave: the agent may only remove images named {images.OWN_PREFIX}..."
        console.step("the engine and the broker", private if environment.private else given)
        with console.busy("starting the engine and the broker"):
            await environment.open_engine()
            version = await environment.client.version()
            console.event(f"Docker Engine {version}", environment.client.url)
            missing = await environment.open_broker()
        if missing:
            console.event("no broker", f"{missing}; the agent works the same without one")
        else:
            console.event("MQTT broker", environment.broker_url)
        if environment.with_page:
            await self._start_monitor()

    async def _start_monitor(self) -> None:
        environment, console = self._environment, self._console
        names = f"Hosts named {simulated_hosts.PREFIX}... do not exist: they stand for the rest of a fleet."
        console.step("the page", f"It shows this demo as it happens. {names}")
        with console.busy("starting the monitor"):
            self._monitor = await environment.open_monitor()
        console.event("$ torchkeeper monitor", environment.page_url)

    async def _make_images(self) -> None:
        environment, console = self._environment, self._console
        console.step("the images", "Images like those on a GPU host after some months, a thousand times smaller.")
        with console.live(lambda: f"making image {len(self._ids) + 1} of {len(IMAGES)}"):
            for image in IMAGES:
                image_id = await images.make(
                    environment.client, image, environment.prefix, environment.run_id, environment.busybox
                )
                self._ids[image_id] = image
        rows = [(two_lines(self._name(image), image.situation), f"{image.size_mb} MB") for image in IMAGES]
        console.table(("IMAGE", "OWN LAYER"), rows)

    async def _use_images(self) -> None:
        environment, console = self._environment, self._console
        console.step("people use images", "Only use shows which images are needed; age and size do not.")
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
        environment, console = self._environment, self._console
        console.step("the agent", "It follows Docker's events, so even a run of one second counts as a use.")
        self._feed: AsyncIterator[payloads.Event] = await environment.open_feed()
        with console.busy("starting the agent"):
            self._agent = await environment.start_agent(set(self._ids))
        self._began = datetime.now(UTC)
        policy = f"policy.ttl = {environment.ttl:.0f}s instead of 14 d, min_age = 0s, protect = *:latest"
        console.event(
            "$ torchkeeper run", policy, "every image counts as first seen now: a new agent never evicts at once"
        )

    async def _show_plan(self) -> None:
        console = self._console
        console.step("the plan", "Every image has a reason at every moment, before anything happens.")
        plan = await self._plan()
        console.event("$ torchkeeper plan")
        console.table(
            ("DECISION", "REASON", "IMAGE AND WHY"),
            [(row["action"], row["reason"], two_lines(_ref(row), row["explanation"])) for row in plan],
        )

    async def _run_one_briefly(self) -> None:
        environment, console = self._environment, self._console
        console.step("one short run", "The container is gone a second later; only the event stream shows that it ran.")
        idle = (datetime.now(UTC) - self._began).total_seconds()
        with console.live(self._countdown):
            await asyncio.sleep(max(0.0, BEFORE_USE * environment.ttl - idle))
        before, image = self._due_of(images.USED), images.USED
        labels = {images.LABEL: environment.run_id}
        name = f"quick-test-{environment.run_id[:4]}"
        container = await environment.client.run(self._name(image), name, (BUSYBOX, "sleep", "1"), labels, rm=True)
        await environment.client.wait_until_removed(container)
        used = next(row for row in await self._plan() if self._ids[row["id"]] is image)
        moved = units.format_duration(self._due_of(image) - before)
        console.event(
            f"$ docker run --rm {self._name(image)}",
            f"last used by {used['last_used_by']}; its deadline moved by {moved}",
        )

    async def _watch(self) -> None:
        console = self._console
        console.step("the TTL ends", f"Each image is checked again right before its removal. {self._source()}")
        first = min(self._due.values())
        console.event(f"the first image is due in {units.format_duration(_left(first))}")
        try:
            async with asyncio.timeout(IN_TIME * self._environment.ttl):
                with console.live(self._countdown):
                    await self._follow()
        except TimeoutError:
            self._agent.check()
            late = ", ".join(self._ids[image_id].ref for image_id in self._pending())
            raise DemoError(f"the agent did not remove {late} in time: {self._agent.last_line()}") from None

    async def _follow(self) -> None:
        """Show each outcome when its event arrives, until every expected removal is done."""
        async for event in self._feed:
            if event.subject in self._ids:
                self._show(event.subject, payloads.data_of(event))
            if not self._pending():
                return

    def _show(self, image_id: str, data: payloads.EventData | None) -> None:
        if isinstance(data, payloads.DecisionData):
            self._decisions[image_id] = data
        if isinstance(data, payloads.OutcomeData):
            self._show_outcome(image_id, data)

    def _show_outcome(self, image_id: str, outcome: payloads.OutcomeData) -> None:
        if image_id in self._outcomes:  # a broker may deliver twice
            return
        self._outcomes[image_id] = outcome
        self._due.pop(image_id, None)
        explanation = self._decisions[image_id].explanation
        self._console.event(f"{self._name(self._ids[image_id])} -> {outcome.outcome}", explanation, word="EVICT")

    async def _stay(self, monitor: Daemon) -> None:
        """Leave everything running until a signal ends the demo. Raises DemoError if the monitor or the agent ends."""
        console = self._console
        console.step("the page stays", "The engine, the agent, the broker and the monitor go on running.")
        console.event(self._environment.page_url, "Ctrl-C ends the demo, and removes everything that it created")
        while True:
            await asyncio.sleep(1)
            monitor.check()
            self._agent.check()

    async def _check_result(self) -> None:
        """Check which images are gone, by the engine's list and not by the agent's reports."""
        present = {image["Id"] for image in await self._environment.client.images()}
        gone = self._ids.keys() - present
        self._kept = [row for row in await self._plan() if row["id"] in present]
        wrong = [image.ref for image_id, image in self._ids.items() if image.evicted != (image_id in gone)]
        if wrong:
            raise DemoError(f"the agent decided otherwise than expected: {', '.join(wrong)}")

    # The summary

    def summary(self) -> None:
        console = self._console
        console.title("WHAT WAS REMOVED, AND WHY")
        gone = [("removed", self._decisions[image_id].reason, self._line(image_id)) for image_id in self._outcomes]
        console.table(("", "", ""), gone, indent=0)
        console.title("WHAT STAYED, AND WHY")
        rows = [(row["action"], row["reason"], self._line(row["id"])) for row in self._kept]
        console.table(("", "", ""), rows, indent=0)
        console.title("FREED SPACE")
        console.print(self._freed())
        kept = self._environment.kept if self._environment.kept != self._environment.folder else None
        left = f"Only {kept} is left of the demo (--keep)." if kept else "Nothing of the demo is left here."
        console.print(f"{left} No image, container or daemon of yours was touched.")
        console.title("WHERE TO SEE THIS IN PRODUCTION")
        console.print("Every decision is published over MQTT: torchkeeper/v1/hosts/<host>/events.")
        console.print("`torchkeeper fleet status --watch` shows all hosts, `torchkeeper fleet decisions`")
        console.print("what they did, from anywhere that reaches the broker.")
        console.title("NEXT")
        console.print("torchkeeper plan     what it would do on this machine, and why; changes nothing")
        if kept:
            console.print(f"torchkeeper history --config {self._environment.config}")

    def _line(self, image_id: str) -> Text:
        image = self._ids[image_id]
        return two_lines(self._name(image), image.why)

    def _freed(self) -> str:
        estimated = sum(self._decisions[image_id].estimated_bytes for image_id in self._outcomes)
        measured = [item.measured_bytes for item in self._outcomes.values() if item.measured_bytes is not None]
        removed = f"{len(self._outcomes)} images removed, about {units.format_bytes(estimated)} freed by the estimate"
        return f"{removed}, {units.format_bytes(sum(measured))} measured on the disk." if measured else f"{removed}."

    # Helpers of the steps

    async def _plan(self) -> list[dict[str, Any]]:
        """The rows of `torchkeeper plan` for the demo's images; their deadlines are stored."""
        document = json.loads(await self._environment.command("plan", "--json"))
        rows = [row for row in document["images"] if row["id"] in self._ids]
        self._due = {row["id"]: due for row in rows if (due := units.parse_time(row["due"] or ""))}
        return rows

    def _pending(self) -> list[str]:
        return [image_id for image_id, image in self._ids.items() if image.evicted and image_id not in self._outcomes]

    def _due_of(self, image: DemoImage) -> datetime:
        """When an image is due, by the last plan. Raises DemoError if it has no deadline."""
        due = next((at for image_id, at in self._due.items() if self._ids[image_id] is image), None)
        if due is None:
            raise DemoError(f"the plan has no deadline for {image.ref}; was the machine too slow? Try again")
        return due

    def _countdown(self) -> str:
        if not self._due:
            return "waiting for the agent"
        image_id, at = min(self._due.items(), key=lambda item: item[1])
        return f"next: {self._name(self._ids[image_id])} in {max(0.0, _left(at).total_seconds()):.0f} s"

    def _name(self, image: DemoImage) -> str:
        return self._environment.prefix + image.ref

    def _source(self) -> str:
        return "Source: MQTT." if self._environment.broker_url else "Source: the agent's history."


def _left(at: datetime) -> timedelta:
    return at - datetime.now(UTC)


def _ref(row: dict[str, Any]) -> str:
    return " ".join(row["references"]) or str(row["id"])[7:19]
