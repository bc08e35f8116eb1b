"""Ignorance never evicts: the same history with faults evicts, at every sweep, nothing that it would not without.

Both runs see the same people do the same things at the same true times. Sweeps only plan, so that what one run evicts
does not change the other's history; what a sweep of the run with faults would evict must be a subset.
"""

import os
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.core.policy.overrides import Pin
from tests.properties.driver import DiskFull, ModelAgent
from tests.properties.oracle import TAGS
from tests.properties.world import REGISTRY, ModelHost
from tests.support.times import DAY, HOUR

EXAMPLES = int(os.environ.get("TORCHKEEPER_TEST_EXAMPLES", settings().max_examples * 5 // 2))  # 250 in `make test`
SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
NAMES = (*REGISTRY, "torch-a", "torch-b")
OPEN_TAGS = TAGS[:7]  # none that protects: an end of protection that nobody saw begin is not known
TICKS = (HOUR, DAY, 2 * DAY, 3 * DAY, 6 * DAY)
JUMPS = (-5 * DAY, -DAY, -3 * HOUR, 3 * HOUR, DAY, 40 * DAY)


class Run:
    """One run of a history, with or without its faults."""

    def __init__(self, *, faulty: bool) -> None:
        self.world = ModelHost()
        self.agent = ModelAgent(self.world)
        self.faulty = faulty
        self.attends = True
        self.agent.begin()

    def step(self, act: str, which: int, other: int, fault: str) -> set[str]:
        """What a sweep after it would evict."""
        if self.faulty:
            self._fault(fault, which)
        self._act(act, which, other)
        return self._sweep(listing_fails=self.faulty and fault == "list-failure")

    def _act(self, act: str, which: int, other: int) -> None:
        world, tag = self.world, OPEN_TAGS[other % len(OPEN_TAGS)]
        images = [*world.images]
        acts: dict[str, Callable[[str], object]] = {
            "tag": lambda image: world.tag(image, tag),
            "remove-image": self._remove,
            "build": lambda image: world.build_classic(image, tag if other % 3 else ""),
            "buildkit": lambda image: world.build_buildkit(image, tag, silent=False),
            "create": lambda image: world.create(image, self._word_for(image, other)),
            "run": lambda image: self._run(image, other),
            "pin": lambda image: world.pins.append(Pin(id=image, reference=tag, at=world.wall)),
        }
        if act in acts and images:
            acts[act](images[which % len(images)])
        elif act == "pull":
            world.pull(NAMES[which % len(NAMES)], tag)
        elif act == "tick":
            world.tick(TICKS[which % len(TICKS)])
        elif act == "noise":
            world.noise(100 * (1 + other % 3))
        elif act == "restart-engine":
            self._restart_engine(killed=other % 2 == 0)
        elif world.boxes:
            box = [*world.boxes][which % len(world.boxes)]
            {"start": world.start, "die": world.die}.get(act, world.destroy)(box)

    def _restart_engine(self, *, killed: bool) -> None:
        self.world.stop_engine(killed=killed)
        self.agent.end_the_stream(engine_ended=True)
        self.world.start_engine()
        self.agent.connect()

    def _remove(self, image_id: str) -> None:
        """Not what BuildKit made: gone before any listing, it shows no use of what it was built on."""
        details = self.world.images[image_id].details
        if details is not None and (details.parent or image_id not in self.world.oracle.lineage):
            self.world.remove_image(image_id)

    def _run(self, image_id: str, other: int) -> None:
        box = self.world.create(image_id, self._word_for(image_id, other))
        self.world.start(box)
        self.world.destroy(box)

    def _word_for(self, image_id: str, other: int) -> str:
        names = (*self.world.images[image_id].references, image_id)
        return names[other % len(names)]

    def _fault(self, fault: str, which: int) -> None:
        agent = self.agent
        if fault == "lost":
            agent.lose_the_stream()
        elif fault == "cut":
            agent.end_the_stream(engine_ended=False)
        elif fault == "kill":
            agent.kill()
        elif fault == "terminate" and agent.running:
            agent.terminate()
        elif fault == "repeat":
            self.world.repeat(which + 1)
        elif fault == "disorder":
            self.world.reverse_last(which + 2)
        elif fault == "distract":
            self.attends = False
        elif fault == "full-disk":
            agent.disk.full = True
        elif fault == "jump" and agent.running and not agent.disk.full:
            self.world.set_clock(JUMPS[which % len(JUMPS)])
        elif fault == "recover":
            self._recover()

    def _recover(self) -> None:
        self.agent.disk.full, self.attends = False, True
        if not self.agent.running:
            self.agent.begin()
        elif not self.agent.proven:
            self.agent.connect()

    def _sweep(self, *, listing_fails: bool) -> set[str]:
        if self.agent.running:
            self.agent.look()
        if not (self.agent.proven and self.attends) or listing_fails:
            return set()
        try:
            self.agent.refresh()
            return {decision.image.id for decision in self.agent.observe().evictions}
        except DiskFull:
            self.agent.lose_the_stream()
            return set()


ACTS = ("pull", "tag", "remove-image", "build", "buildkit", "create", "run", "run", "pin", "start", "die", "destroy",
        "destroy", "noise", "restart-engine", "tick", "tick", "tick", "tick", "tick")  # fmt: skip
FAULTS = ("", "", "", "", "lost", "cut", "kill", "terminate", "repeat", "disorder", "distract", "full-disk", "jump",
          "list-failure", "recover", "recover", "recover")  # fmt: skip
NUMBER = st.integers(0, 11)
STEPS = st.lists(st.tuples(st.sampled_from(ACTS), NUMBER, NUMBER, st.sampled_from(FAULTS)), min_size=25, max_size=50)


@pytest.mark.timeout(600)  # one long search; a busy machine must not end it
@SETTINGS
@given(STEPS)
def test_faults_only_make_the_set_of_evictions_smaller(steps: list[tuple[str, int, int, str]]) -> None:
    clean, faulty = Run(faulty=False), Run(faulty=True)
    for act, which, other, fault in [("pull", 0, 0, ""), *steps]:
        without, with_faults = (run.step(act, which, other, fault) for run in (clean, faulty))
        assert with_faults <= without, (act, fault)
