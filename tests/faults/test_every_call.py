"""A sweep meets every fault at every single call to a real engine: an image is removed whole or stays whole.

The TTL is a microsecond: each image is due from the start, so that only what must keep it does.
"""

import asyncio
import functools
import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from agent.core.policy.decision import Reason
from agent.core.protocol import payloads
from agent.daemon.timing import Timing
from tests.faults.live_agent import DUE_AT_ONCE, QUICK, SHORT_WAITS, LiveAgent, import_torch_image, tags_of, timeouts
from tests.support import engines, images, proc, proxy
from tests.support.dockerd import Dockerd
from tests.support.proxy import GARBLE, HALF, HANG, LOSE, REFUSE, Call, Fault, Hold, Proxy

pytestmark = pytest.mark.timeout(1200)  # seconds: many rounds

LISTS = ("/containers/json", "/images/json")
TAGS = {"team/idle:1", "team/idle:2", "other/idle:1"}
USED_TAGS = {"team/used:1", "team/used:2"}
FAULTS = {
    "refused": REFUSE,
    "no answer": HANG,
    "half an answer": HALF,
    "rubbish": GARBLE,
    **{str(status): proxy.answer(status) for status in (404, 409, 500)},
}
NAME = "user/idle:1"
SEED = 7
UNHURRIED = proc.PATIENCE  # seconds for an answer
# Where the time is short, a busy machine may time a call out before the one that is meant: each try has more time.
TRIES = (1, 4, 16, 64)


def listing_after(seconds: float) -> Timing:
    """An agent that lists by itself so late after an event."""
    return replace(SHORT_WAITS, tracking=replace(SHORT_WAITS.tracking, relist_delay=seconds))


# The lists of a round are those of its sweep, so that each call has its place in every round.
TIMING = listing_after(0.7)
NO_LISTING = listing_after(600.0)  # on a slow machine, too


@dataclass(frozen=True)
class RealEngineHost:
    """An engine with one image in use, of two tags; each round adds an idle one."""

    engine: Dockerd
    folder: Path
    used: str
    container: str

    def room(self, name: str) -> Path:
        """A folder for one round."""
        folder = self.folder / name
        folder.mkdir()
        return folder


def make_host(engine: Dockerd, folder: Path) -> RealEngineHost:
    used = import_torch_image(engine, *sorted(USED_TAGS))
    return RealEngineHost(engine, folder, used, images.create(engine, "team/used:1"))


@pytest.fixture
def host(fresh_engine: Dockerd, tmp_path: Path) -> RealEngineHost:
    return make_host(fresh_engine, tmp_path)


@pytest.fixture(params=engines.HEAVY[1:])
def later_host(request: pytest.FixtureRequest, pool_of_engines: engines.Pool, tmp_path: Path) -> RealEngineHost:
    engine = pool_of_engines.get(request.param)
    engine.empty()
    return make_host(engine, tmp_path)


@dataclass(frozen=True)
class Point:
    """One call of a sweep: the n-th with this method and target, with the image's ID as `IDLE`."""

    method: str
    target: str
    nth: int

    def pattern(self, idle: str) -> str:
        return "^" + re.escape(self.target).replace("IDLE", idle).replace("TIME", r"[\d.]+") + "$"


@dataclass
class Round:
    """One agent, one idle image, one fault."""

    host: RealEngineHost
    between: Proxy
    idle: str
    created: list[str] = field(default_factory=list)  # containers of the idle image
    named: set[str] = field(default_factory=set)  # tags that it was given meanwhile

    def strike(self, point: Point, fault: Fault) -> None:
        times = 2 if fault is REFUSE else 1  # the client itself asks again, once, where a connection ends in silence
        self.between.on(point.method, point.pattern(self.idle), fault, nth=point.nth, times=times)

    def hold(self, point: Point) -> Hold:
        return self.between.hold(point.method, point.pattern(self.idle), nth=point.nth)

    def use_at(self, point: Point) -> None:
        """Somebody creates a container while the engine has not got the call yet."""
        self.between.on(point.method, point.pattern(self.idle), nth=point.nth, before=self._create)

    async def _create(self) -> None:
        body = {"Image": self.idle, "Cmd": ["true"]}
        status, answer = await asyncio.to_thread(self.host.engine.api, "POST", "/containers/create", body)
        if status == 201:
            self.created.append(answer["Id"])

    def name_at(self, point: Point, tag: str) -> None:
        """Somebody gives it a tag while the engine has not got the call yet."""

        async def name() -> None:
            query = "repo={}&tag={}".format(*tag.split(":"))
            target = f"/images/{self.idle}/tag?{query}"
            status, _ = await asyncio.to_thread(self.host.engine.api, "POST", target)
            self.named |= {tag} if status == 201 else set()

        self.between.on(point.method, point.pattern(self.idle), nth=point.nth, before=name)

    async def settled(self, agent: LiveAgent) -> None:
        """Wait until the image is gone, in use, or left alone for a while, and no removal is under way."""
        await proc.eventually_async(lambda: self._is_settled(agent))

    async def _is_settled(self, agent: LiveAgent) -> bool:
        agent.check()
        if await agent.may_have_journal():
            return False
        if tags_of(self.host.engine, self.idle) is None:
            return bool(await agent.events(payloads.OutcomeData.type))
        reasons = {item.image.id: item.reason for item in (await agent.components.planner.plan()).decisions}
        return self.idle in await agent.backed_off() or reasons.get(self.idle) is Reason.IN_USE

    async def judge(self, agent: LiveAgent) -> None:
        """All that must hold, whatever happened."""
        engine, left = self.host.engine, tags_of(self.host.engine, self.idle)
        assert left in ([TAGS] if self.created else [None, TAGS | self.named])
        if left is None:
            assert self.named <= await self._recorded(agent)
        assert tags_of(engine, self.host.used) == USED_TAGS
        for container, image in [(self.host.container, self.host.used), *((cid, self.idle) for cid in self.created)]:
            assert engine.api("GET", f"/containers/{container}/json")[1]["Image"] == image
        consistent(await agent.events(), self.idle, gone=left is None)
        never_on_a_bad_list(self.between.calls)
        deletes = [call.target for call in self.between.calls if call.method == "DELETE"]
        assert all(target.endswith("?noprune=1") for target in deletes)

    async def _recorded(self, agent: LiveAgent) -> set[str]:
        """The names with which it went, by its outcome."""
        data = payloads.OutcomeData.model_validate((await agent.events(payloads.OutcomeData.type))[-1].data)
        return {*data.image.references, *data.also_removed}

    def clear(self) -> None:
        for container in self.created:
            self.host.engine.api("DELETE", f"/containers/{container}?force=1")
        self.host.engine.api("DELETE", f"/images/{self.idle}?force=1")


def consistent(events: list[payloads.Event], idle: str, *, gone: bool) -> None:
    """Each decision is of the idle image, once, before its outcomes; the last outcome is what is true now."""
    decided = [event for event in events if event.type == payloads.DecisionData.type]
    outcomes = [event for event in events if event.type == payloads.OutcomeData.type]
    assert {event.subject for event in [*decided, *outcomes]} <= {idle}
    first = {event.data["decision_id"]: event.data["seq"] for event in reversed(decided)}
    assert len(first) == len(decided)
    assert {event.data["decision_id"] for event in outcomes} == first.keys()
    assert all(first[event.data["decision_id"]] < event.data["seq"] for event in outcomes)
    results = [event.data["outcome"] for event in outcomes]
    assert results.count("removed") == int(gone)
    assert results[-1:] == ["removed"] or not gone


def never_on_a_bad_list(calls: list[Call]) -> None:
    """After a list that failed, nothing is deleted before both lists were had whole."""
    whole = dict.fromkeys(LISTS, False)
    for call in calls:
        if call.path in LISTS:
            whole[call.path] = call.fault is None and call.status == 200
        assert call.method != "DELETE" or all(whole.values()), f"{call} after a list that failed"


MakeFault = Callable[[Point, Round], Hold | None]


async def play(
    host: RealEngineHost,
    name: str,
    make_fault: Callable[[Round], Hold | None],
    time_out: float = UNHURRIED,
    timing: Timing = TIMING,
) -> tuple[list[Call], str] | None:
    """A fresh idle image and a fresh agent, until it has settled. If a call is held back, the agent is killed then.

    Returns its calls and the image; None if the fault was never applied.
    """
    folder = host.room(name)

    async def start() -> LiveAgent:
        limits = timeouts(time_out)
        return await LiveAgent(between.url, folder, timing=timing, timeouts=limits, policy=DUE_AT_ONCE).start()

    async with proxy.before(host.engine.socket, folder) as between:
        one = Round(host, between, import_torch_image(host.engine, *sorted(TAGS)))
        held = make_fault(one)
        agent = await start()
        try:
            if held is not None:
                await asyncio.wait_for(held.reached.wait(), proc.PATIENCE)
                await agent.kill()
                held.release.set()  # what was under way still reaches the engine
                agent = await start()
            await one.settled(agent)
            await one.judge(agent)
        finally:
            await agent.kill()
            one.clear()
        return (between.calls, one.idle) if between.met() else None


async def clean_points(host: RealEngineHost) -> list[Point]:
    """The calls of a sweep that nothing disturbs, up to the look whether the image is gone."""
    played = await play(host, "clean", lambda _: None, timing=NO_LISTING)
    assert played is not None
    calls, idle = played
    last = [(call.method, call.target) for call in calls].index(("DELETE", f"/images/{idle}?noprune=1")) + 1
    assert calls[last].path == f"/images/{idle}/json"
    seen: Counter[tuple[str, str]] = Counter()
    points = []
    for call in calls[: last + 1]:
        target = re.sub(r"(since|until)=[\d.]+", r"\1=TIME", call.target.replace(idle, "IDLE"))
        seen[call.method, target] += 1
        points.append(Point(call.method, target, seen[call.method, target]))
    return [point for point in points if _lasts(host, point)]


def _lasts(host: RealEngineHost, point: Point) -> bool:
    """Whether later rounds make the call too: what a young event asks of a container is asked but once."""
    named = set(re.findall("[0-9a-f]{64}", point.target))
    return named <= {host.container, host.used.removeprefix("sha256:")} and (
        point.nth == 1 or host.container not in named
    )


async def at_every_call(
    host: RealEngineHost, make_fault: MakeFault, only: str = "", time_out: float = UNHURRIED
) -> None:
    """Play a round for each call of a sweep, with a fault at that call."""
    points = [point for point in await clean_points(host) if only in point.method]
    assert {"GET", "DELETE"} >= {point.method for point in points} >= {"DELETE"}
    for number, point in enumerate(points):
        for longer in TRIES:
            if await play(host, f"{number}.{longer}", functools.partial(make_fault, point), time_out * longer):
                break
        else:
            raise AssertionError(f"{point} was never called")


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_fault_at_any_call_leaves_each_image_whole_or_gone(host: RealEngineHost, fault: Fault) -> None:
    time_out = QUICK if fault is HANG else UNHURRIED
    await at_every_call(host, lambda point, one: one.strike(point, fault), time_out=time_out)


async def test_a_request_whose_answer_is_lost_is_repeated_and_leaves_each_image_whole_or_gone(
    host: RealEngineHost,
) -> None:
    await at_every_call(host, lambda point, one: one.strike(point, LOSE), only="DELETE")


async def test_a_kill_at_any_call_leaves_each_image_whole_or_gone(host: RealEngineHost) -> None:
    await at_every_call(host, lambda point, one: one.hold(point))


async def test_the_end_of_the_stream_at_any_call_leaves_each_image_whole_or_gone(host: RealEngineHost) -> None:
    await at_every_call(host, end_stream_at)


def end_stream_at(point: Point, one: Round) -> None:
    async def cut() -> None:
        one.between.cut_streams()

    one.between.on(point.method, point.pattern(one.idle), nth=point.nth, before=cut)


async def test_an_image_that_gets_a_container_at_any_call_before_it_is_removed_stays_whole(
    host: RealEngineHost,
) -> None:
    await at_every_call(host, lambda point, one: one.use_at(point))


@pytest.mark.parametrize("tag", ["user/idle:1", "team/idle:2"], ids=["a new one", "one that it has or had"])
async def test_an_image_that_gets_a_tag_at_any_call_before_it_is_removed_keeps_it_or_has_it_on_record(
    host: RealEngineHost, tag: str
) -> None:
    await at_every_call(host, lambda point, one: one.name_at(point, tag))


async def test_any_fault_at_any_call_leaves_each_image_whole_or_gone_on_later_engines(
    later_host: RealEngineHost,
) -> None:
    chance = random.Random(SEED)

    def any_fault(point: Point, one: Round) -> None:
        fault = chance.choice([*FAULTS.values(), None, NAME])
        if fault is None:
            one.use_at(point)
        elif isinstance(fault, str):
            one.name_at(point, fault)
        else:
            one.strike(point, fault)

    await at_every_call(later_host, any_fault, time_out=2 * QUICK)
