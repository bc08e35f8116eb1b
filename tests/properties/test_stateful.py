"""Any history at all: what goes has truly been idle for its TTL, and what has, goes.

The machine lets people, engines, clocks and agents do what they do, in any order. The oracle knows the truth.
"""

import os
import sys
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from agent.core.policy.decision import Decision, Plan, Reason
from agent.core.policy.overrides import Pin
from agent.core.timekeeping import SETTLING
from agent.core.usage.continuity import BOOT_TO_ENGINE
from tests.properties.driver import DiskFull, ModelAgent
from tests.properties.oracle import LONGEST_TTL, MIN_AGE, TAGS, is_pytorch, may_go, protected, ttl
from tests.properties.world import REGISTRY, ModelHost
from tests.support.times import DAY, HOUR

MINUTE = timedelta(minutes=1)
SETTLE = timedelta(minutes=10)  # the clock is trusted again long before
EXAMPLES = int(os.environ.get("TORCHKEEPER_TEST_EXAMPLES", settings().max_examples * 5 // 2))  # 250 in `make test`
SETTINGS = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)

MEDDLING = st.sampled_from(["", "", "create", "mount", "tag", "silent"])
CHOICE = st.integers(0, 11)
NAMES = st.sampled_from(["torch-a", "torch-a", *REGISTRY])
PULLED = st.sampled_from(TAGS)
BUILT = st.sampled_from([None, "scratch/a:1", "scratch/b:1", *TAGS])  # mostly what may go
STEPS = st.sampled_from([MINUTE, 7 * MINUTE, HOUR, 11 * HOUR, DAY, 2 * DAY, 3 * DAY, 6 * DAY, 7 * DAY])
OFF = st.sampled_from([MINUTE, 9 * MINUTE, HOUR, DAY, 3 * DAY, 30 * DAY])
JUMPS = st.sampled_from([MINUTE, 3 * HOUR, DAY, 5 * DAY, 40 * DAY])


class Histories(RuleBasedStateMachine):
    """One host with its people, its failures and its agent."""

    def __init__(self) -> None:
        super().__init__()
        self.world = ModelHost()
        self.agent = ModelAgent(self.world)
        self.oracle = self.world.oracle
        self.faultless = True  # the agent has seen everything: it must decide exactly as the oracle does
        self.distracted = False  # the agent reads later
        self.latest_wall = self.world.wall  # before the clock was set
        self.jumped = self.world.now - DAY  # when the clock was set last
        self.unseen = False  # it was set while no agent ran
        self.booted = self.world.now - DAY
        self.agent.begin()

    # What people do with images

    @initialize(name=NAMES, tag=PULLED, busy=MEDDLING, which=CHOICE)
    def begin(self, name: str, tag: str, busy: str, which: int) -> None:
        self.pull(name, tag)
        self.busy, self.which = busy, which  # for the end

    @rule(name=NAMES, tag=PULLED)
    def pull(self, name: str, tag: str) -> None:
        if self.world.up:
            self.world.pull(name, tag)
            self.settle()

    @rule(name=NAMES)
    def load(self, name: str) -> None:
        if self.world.up:
            self.world.load(name)
            self.settle()

    @rule(which=CHOICE, tag=PULLED)
    def tag(self, which: int, tag: str) -> None:
        self.with_image(which, lambda image_id: self.world.tag(image_id, tag))

    @rule(tag=PULLED)
    def untag(self, tag: str) -> None:
        if self.world.up and self.world.find(tag):
            self.world.untag(tag)
            self.settle()

    @rule(which=CHOICE)
    def remove_image(self, which: int) -> None:
        self.with_image(which, self.world.remove_image)

    @rule(which=CHOICE, tag=BUILT)
    def build_classic(self, which: int, tag: str | None) -> None:
        self.with_image(which, lambda image_id: self.world.build_classic(image_id, tag or ""))

    @rule(which=CHOICE, tag=PULLED, silent=st.booleans())
    def build_buildkit(self, which: int, tag: str, silent: bool) -> None:
        self.faultless &= not silent
        self.with_image(which, lambda image_id: self.world.build_buildkit(image_id, tag, silent=silent))

    @rule(which=CHOICE, by=st.sampled_from(["id", "name", "both"]), days=st.none() | st.integers(1, 20))
    def pin(self, which: int, by: str, days: int | None) -> None:
        def act(image_id: str) -> None:
            names = self.world.images[image_id].references
            until = self.world.wall + days * DAY if days else None
            pinned_id = image_id if by != "name" else "sha256:gone"
            reference = names[0] if names and by != "id" else ""
            self.world.pins.append(Pin(id=pinned_id, reference=reference, at=self.world.wall, until=until))

        self.with_image(which, act)

    @precondition(lambda self: self.world.pins)
    @rule(which=CHOICE)
    def unpin(self, which: int) -> None:
        self.world.pins.pop(which % len(self.world.pins))
        self.settle()

    # What people do with containers

    @rule(which=CHOICE, by=st.sampled_from(["id", "short", "name"]), begin=st.booleans(), mount=PULLED)
    def create(self, which: int, by: str, begin: bool, mount: str) -> None:
        def act(image_id: str) -> None:
            mounted = self.world.find(mount) or ""
            named = mount if mounted and by == "name" else mounted
            box = self.world.create(image_id, self.word_for(image_id, by), mount=named)
            if begin:
                self.world.start(box)

        self.with_image(which, act)

    @rule(which=CHOICE, by=st.sampled_from(["id", "short", "name"]))
    def run_and_forget(self, which: int, by: str) -> None:
        """`docker run --rm`: over before anybody can look."""

        def act(image_id: str) -> None:
            box = self.world.create(image_id, self.word_for(image_id, by))
            self.world.start(box)
            self.world.destroy(box)

        self.with_image(which, act)

    @rule(which=CHOICE)
    def start(self, which: int) -> None:
        self.with_box(which, self.world.start)

    @rule(which=CHOICE)
    def die(self, which: int) -> None:
        self.with_box(which, self.world.die)

    @rule(which=CHOICE)
    def destroy(self, which: int) -> None:
        self.with_box(which, self.world.destroy)

    @rule(which=CHOICE)
    def destroy_all(self, which: int) -> None:
        if self.world.up:
            for box in list(self.world.boxes):
                self.world.destroy(box)
            self.settle()

    @rule(which=CHOICE, tag=BUILT)
    def commit(self, which: int, tag: str | None) -> None:
        """`docker commit`, with a name or without one."""
        self.with_box(which, lambda box_id: self.world.commit(box_id, tag or ""))

    # Time

    @rule(by=STEPS)
    def tick(self, by: timedelta) -> None:
        self.pass_time(by)
        self.sweep()

    @precondition(lambda self: self.agent.proven and not self.distracted)
    @rule()
    def tick_to_the_next_deadline(self) -> None:
        due = self.agent.plan().next_due
        if due is not None:
            self.pass_time(due - self.world.wall)
            self.sweep()

    # Failures

    @rule()
    def distract(self) -> None:
        """Events wait in the agent's buffer from now on."""
        self.faultless, self.distracted = False, True

    @rule()
    def attend(self) -> None:
        self.distracted = False
        self.settle()

    @precondition(lambda self: self.world.up)
    @rule(events=st.sampled_from([1, 100, 250, 300]))
    def noise(self, events: int) -> None:
        self.world.noise(events)
        self.settle()

    @rule(count=st.integers(2, 6))
    def disorder_the_last_events(self, count: int) -> None:
        self.world.reverse_last(count)

    @rule(count=st.integers(1, 30))
    def repeat_events(self, count: int) -> None:
        self.world.repeat(count)
        self.settle()

    @rule(lost=st.booleans())
    def cut_the_stream(self, lost: bool) -> None:
        self.faultless = False
        if lost:
            self.agent.lose_the_stream()
        else:
            self.agent.end_the_stream(engine_ended=False)

    @rule()
    def reconnect(self) -> None:
        if not self.agent.proven:
            self.agent.connect()
            self.settle()

    @rule()
    def recover(self) -> None:
        """All failures end, and the agent runs."""
        self.agent.disk.full, self.distracted = False, False
        if not self.world.up:
            self.start_the_engine()
        if not self.agent.running:
            self.start_the_agent()
        self.reconnect()
        self.settle()

    @precondition(lambda self: self.agent.running)
    @rule(asked=st.booleans())
    def stop_the_agent(self, asked: bool) -> None:
        self.faultless = False
        self.stop(asked)

    @precondition(lambda self: self.agent.proven and not self.agent.disk.full and not self.unseen)
    @rule(which=CHOICE, loss=st.sampled_from(["nothing", "overrun", "restart", "boot"]))
    def use_while_nobody_watches(self, which: int, loss: str) -> None:
        """What the engine still remembers is read; more than it can remember, or a restart, is a gap."""
        if loss == "boot":  # long after it, nothing tells whether the engine has restarted since
            self.reboot(off=MINUTE, orderly=True, recorded=False, emptied=False)
            self.tick(by=DAY)
        self.cut_the_stream(lost=True)
        self.run_and_forget(which=which, by="id")
        if loss == "overrun":
            self.world.noise(300)
        elif loss in ("restart", "boot"):
            self.stop_the_engine(killed=False)
        self.recover()

    @precondition(lambda self: self.agent.proven and not self.agent.disk.full and not self.unseen)
    @rule(which=CHOICE)
    def run_until_a_reboot(self, which: int) -> None:
        """`docker run --rm`, for days: what was used until the machine went down is not idle since its start."""
        self.create(which=which, by="id", begin=True, mount="")
        self.tick(by=DAY)
        self.reboot(off=MINUTE, orderly=True, recorded=False, emptied=True)
        self.recover()

    @precondition(lambda self: not self.agent.running and not self.agent.disk.full)
    @rule()
    def start_the_agent(self) -> None:
        if not self.unseen:
            self.jumped = self.world.now - DAY  # settled, for a process that did not see it: the gap remains
        self.agent.begin()
        self.unseen = False
        self.settle()

    @precondition(lambda self: self.world.up)
    @rule(killed=st.booleans())
    def stop_the_engine(self, killed: bool) -> None:
        self.faultless = False
        if not self.agent.proven and self.world.now - self.booted <= BOOT_TO_ENGINE:
            self.oracle.forgive(self.booted, self.world.now)
        self.world.stop_engine(killed=killed)
        self.agent.end_the_stream(engine_ended=True)

    @precondition(lambda self: not self.world.up)
    @rule()
    def start_the_engine(self) -> None:
        """An agent that runs tries again every few seconds."""
        self.world.start_engine()
        self.reconnect()

    @precondition(lambda self: not self.unseen)
    @rule(off=OFF, orderly=st.booleans(), recorded=st.booleans(), emptied=st.booleans())
    def reboot(self, off: timedelta, orderly: bool, recorded: bool, emptied: bool) -> None:
        """`emptied`: its containers go with it, as those of `docker run --rm` do."""
        self.faultless = False
        self.world.note_running()
        self.stop(orderly)
        for box in [*self.world.boxes] if emptied and self.world.up else ():
            self.world.destroy(box)
        if self.world.up:
            self.world.stop_engine(killed=not orderly)
        self.world.power_off()
        self.world.tick(off)
        self.world.power_on(recorded=recorded and orderly)
        self.booted = self.world.now
        self.world.start_engine()

    @precondition(lambda self: not self.unseen and not self.agent.disk.full and self.agent.remembers_this_boot)
    @rule(by=JUMPS, back=st.booleans())
    def set_the_clock(self, by: timedelta, back: bool) -> None:
        """Once at most while no agent looks: two steps that cancel each other out leave no trace."""
        self.faultless = False
        self.latest_wall = max(self.latest_wall, self.world.wall)
        self.world.set_clock(-by if back else by)
        self.jumped = self.world.now
        self.unseen = not self.agent.sees_clock
        if self.agent.running:
            self.agent.look()
        self.settle()

    @rule(full=st.booleans())
    def fill_the_disk(self, full: bool) -> None:
        self.faultless &= not full
        self.agent.disk.full = full

    def stop(self, asked: bool) -> None:
        if asked and self.agent.running:
            self.agent.terminate()
        self.agent.kill()

    # Sweeps

    @rule(busy=MEDDLING, which=CHOICE)
    def sweep(self, busy: str = "", which: int = 0) -> None:
        """`busy`: what somebody does between the plan and the recheck of each eviction."""
        if self.agent.proven and not self.agent.disk.full:
            self.agent.refresh()
            expected = self.expected(self.world.now)
            evicted = self.evict(busy, which)
            assert busy or not self.faultless or evicted == expected
        else:
            assert not self.agent.plan().evictions

    def evict(self, busy: str, which: int) -> set[str]:
        evicted: set[str] = set()
        parents = {image.details.parent for image in self.world.images.values() if image.details}

        def evict(decision: Decision) -> bool:
            image = self.world.images[decision.image.id]
            follows = decision.reason is Reason.DANGLING
            assert is_pytorch(image)
            assert image.id not in self.world.held()
            assert not protected(image, self.world.pins, self.world.wall)
            step = image.id in parents and self.oracle.is_idle_step(image, self.world.now)
            assert step if follows else may_go(image) and self.oracle.due(image, self.world.now)
            assert self.world.remove_image(image.id)
            evicted.add(image.id)
            return True

        self.oracle.see_protections(self.world.images.values(), self.world.holds, self.world.wall)
        self.check(self.agent.observe())
        self.agent.sweep(evict, lambda: self.interfere(busy, which))
        return evicted

    def interfere(self, busy: str, which: int) -> None:
        image_id = [*self.world.images][which % len(self.world.images)]
        if busy == "create":
            self.world.create(image_id, image_id)
        elif busy == "mount":
            self.world.create(next(iter(self.world.images)), "first", mount=image_id)
        elif busy == "tag":
            self.world.tag(image_id, TAGS[which % len(TAGS)])
        elif busy == "silent":
            self.world.build_buildkit(image_id, TAGS[which % len(TAGS)], silent=True)

    def expected(self, now: datetime | None) -> set[str]:
        """What the oracle would evict now; None: at the end of time."""
        world = self.world
        return self.oracle.goes(world.images, world.held(), world.holds, world.wall, now)

    # After each act

    def pass_time(self, by: timedelta) -> None:
        self.world.tick(by)
        if self.agent.running:
            self.agent.look()
        self.settle()

    def settle(self) -> None:
        """An agent that attends takes in what was told, lists again, and plans."""
        world = self.world
        self.oracle.end_protections(world.images.values(), world.holds, world.wall, world.now)
        if not self.agent.proven or self.distracted:
            return
        try:
            self.agent.refresh()
            plan = self.agent.observe()
        except DiskFull:
            self.agent.lose_the_stream()
            return
        self.oracle.see_protections(world.images.values(), world.holds, world.wall)
        self.check(plan)

    def check(self, plan: Plan) -> None:
        """Each image has one decision; it knows the TTL, and thinks no image more idle than it is."""
        assert sorted(decision.image.id for decision in plan.decisions) == sorted(self.world.images)
        for decision in plan.decisions:
            self.check_decision(decision)
        order = [decision.image.id for decision in plan.evictions]
        for image in self.world.images.values():
            parent = image.details.parent if image.details else ""
            assert parent not in order or image.id in order[: order.index(parent)]

    def check_decision(self, decision: Decision) -> None:
        image_id = decision.image.id
        idle = timedelta() if image_id in self.world.running() else self.oracle.idle(image_id, self.world.now)
        assert decision.image == self.world.images[image_id]
        assert decision.ttl == ttl(decision.image)
        assert decision.idle is not None
        assert decision.idle >= timedelta()
        assert decision.reason is not Reason.IDLE_TTL or self.oracle.due(decision.image, self.world.now)
        assert decision.idle == idle or (decision.idle < idle and not self.faultless)

    @invariant()
    def nothing_goes_unseen(self) -> None:
        """Without a proven stream and a clock that has been steady, every eviction is held."""
        steady = (self.world.now - self.jumped).total_seconds() >= SETTLING
        assert not self.agent.running or self.agent.plan().held_by is not None or (self.agent.proven and steady)

    def teardown(self) -> None:
        """Whatever has happened: left alone for long enough, all that may go goes, and nothing else."""
        if sys.exc_info()[0] is not None or not self.world.images:
            return
        self.recover()
        self.wait_for_everything()
        self.meddle_at_the_end()
        self.world.pins.clear()
        for box in list(self.world.boxes):
            self.world.destroy(box)
        self.settle()
        expected = self.expected(None)
        self.wait_for_everything()
        assert self.evict("", 0) == expected
        assert not self.agent.plan().evictions

    def wait_for_everything(self) -> None:
        self.pass_time(LONGEST_TTL + MIN_AGE + SETTLE + max(self.latest_wall - self.world.wall, timedelta()))

    def meddle_at_the_end(self) -> None:
        """What is held or pinned still is. A name moves, and somebody does something between plan and act."""
        if self.which % 2:
            self.tag(which=self.which, tag=TAGS[self.which % len(TAGS)])
        expected = self.expected(self.world.now)
        evicted = self.evict(self.busy, self.which)
        assert self.busy or evicted == expected

    def with_image(self, which: int, act: Callable[[str], object]) -> None:
        if self.world.up and self.world.images:
            act([*self.world.images][which % len(self.world.images)])
            self.settle()

    def with_box(self, which: int, act: Callable[[str], object]) -> None:
        if self.world.up and self.world.boxes:
            act([*self.world.boxes][which % len(self.world.boxes)])
            self.settle()

    def word_for(self, image_id: str, by: str) -> str:
        names = self.world.images[image_id].references
        return names[0] if names and by == "name" else image_id[7:31] if by == "short" else image_id


@pytest.mark.timeout(600)  # one long search; a busy machine must not end it
def test_any_history_at_all() -> None:
    run_state_machine_as_test(Histories, settings=SETTINGS)
