"""A plan with answers kept from earlier plans is the plan without them, at every step of a random history."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.model import Container, Image, Snapshot, Usage
from agent.core.policy import planning
from agent.core.policy.decide import Context
from agent.core.policy.decision import Action, Decision, Plan
from agent.core.policy.grace import PendingPolicy
from agent.core.policy.kept_answers import KeptAnswers
from agent.core.policy.overrides import Overrides, Pin
from agent.core.policy.settings import Policy
from agent.core.pytorch import classify
from agent.core.timekeeping import MachineOff
from tests.properties.strategies import NAMES, GeneratedHost, crowds, generated_hosts, policies, pressed
from tests.support.builders import NOW, container_of, idle_usage, make_disk, pytorch_image


@dataclass(frozen=True)
class Moment:
    """All inputs of one plan."""

    images: tuple[Image, ...]
    usages: dict[str, Usage]
    policy: Policy
    containers: tuple[Container, ...] = ()
    context: Context = field(default_factory=Context)
    now: datetime = NOW

    def plan(self, kept: KeptAnswers | None = None) -> Plan:
        snapshot = Snapshot(at=self.now, images=self.images, containers=self.containers)
        verdicts = classify.classify(self.images)
        return planning.plan(snapshot, verdicts, self.usages, self.policy, self.now, self.context, kept)


Step = Callable[[Moment], Moment]
INDEX = st.integers(0, 5)


def at(number: int, moment: Moment) -> Image:
    return moment.images[number % len(moment.images)]


def changed_usage(number: int, **fields: object) -> Step:
    def step(moment: Moment) -> Moment:
        usage = moment.usages[at(number, moment).id]
        values = {key: moment.now if value == "now" else value for key, value in fields.items()}
        return replace(moment, usages={**moment.usages, usage.image_id: replace(usage, **values)})  # type: ignore[arg-type]

    return step


def later(hours: float) -> Step:
    return lambda moment: replace(moment, now=moment.now + timedelta(hours=hours))


def with_container(number: int, state: str, active_hours: int) -> Step:
    def step(moment: Moment) -> Moment:
        made = replace(
            container_of(at(number, moment), f"c{number}", state),
            last_active=moment.now + timedelta(hours=active_hours),
        )
        return replace(moment, containers=(*moment.containers, made))

    return step


def with_context(**fields: object) -> Step:
    return lambda moment: replace(moment, context=replace(moment.context, **fields))  # type: ignore[arg-type]


def with_pin(number: int, hours: int) -> Step:
    def step(moment: Moment) -> Moment:
        pin = Pin(id=at(number, moment).id, reference="", at=moment.now, until=moment.now + timedelta(hours=hours))
        overrides = replace(moment.context.overrides, pins=(*moment.context.overrides.pins, pin))
        return replace(moment, context=replace(moment.context, overrides=overrides))

    return step


def with_policy(policy: Policy, grace: bool) -> Step:
    def step(moment: Moment) -> Moment:
        pending = PendingPolicy(before=moment.policy, until=moment.now + timedelta(days=3)) if grace else None
        return replace(moment, policy=policy, context=replace(moment.context, pending_policy=pending))

    return step


def renamed(number: int, name: str) -> Step:
    def step(moment: Moment) -> Moment:
        image = replace(at(number, moment), references=(name,))
        return replace(moment, images=tuple(image if item.id == image.id else item for item in moment.images))

    return step


def with_gap(hours: int) -> Step:
    return lambda moment: with_context(gap_end=moment.now - timedelta(hours=hours))(moment)


def after_absence() -> Step:
    def step(moment: Moment) -> Moment:
        woke = moment.now + timedelta(days=4)
        off = MachineOff(moment.now, woke)
        return replace(later(96)(moment), context=replace(moment.context, machine_off=(off,)))

    return step


def gone(number: int) -> Step:
    def step(moment: Moment) -> Moment:
        image = at(number, moment)
        left = tuple(item for item in moment.images if item.id != image.id)
        return replace(moment, images=left) if left else moment

    return step


STEPS: st.SearchStrategy[Step] = st.one_of(
    st.sampled_from([0.001, 0.5, 1.0, 24.0, 24 * 9.0, 24 * 40.0, -2.0]).map(later),
    st.builds(changed_usage, INDEX, last_used=st.just("now"), last_used_by=st.just("train")),
    st.builds(changed_usage, INDEX, protected=st.booleans()),
    st.builds(changed_usage, INDEX, arrived=st.just("now"), pulled=st.booleans()),
    st.builds(changed_usage, INDEX, references_changed=st.just("now")),
    st.builds(with_container, INDEX, st.sampled_from(["running", "exited"]), st.integers(-300, 3)),
    st.just(lambda moment: replace(moment, containers=())),
    st.builds(with_pin, INDEX, st.integers(1, 50)),
    st.builds(with_policy, pressed(policies()) | policies(), st.booleans()),
    st.builds(renamed, INDEX, NAMES),
    st.integers(-3, 300).map(with_gap),
    st.builds(after_absence),
    st.builds(gone, INDEX),
    st.integers(600, 950).map(lambda used: with_context(disk=make_disk(used))),
    st.booleans().map(lambda paused: with_context(overrides=Overrides(readable=not paused))),
)


def without_time(decision: Decision) -> Decision:
    """The decision without what counts time, unless it is an eviction: only that changes while nothing happens."""
    if decision.action is Action.EVICT:
        return decision
    timeless = replace(decision, explanation="", idle=None, steps=())
    if not decision.running:
        return timeless
    return replace(timeless, last_used=None, idle_since=None, idle_since_ignoring_gaps=None, deadline=None)


def comparable(plan: Plan) -> tuple[Plan, dict[str, Decision]]:
    """All of a plan but the texts that count time in what is kept."""
    decisions = {item.image.id: without_time(item) for item in plan.decisions}
    return replace(plan, decisions=(), deferred=tuple(map(without_time, plan.deferred))), decisions


@settings(max_examples=300)
@given(generated_hosts() | crowds(), policies() | pressed(policies()), st.lists(STEPS, max_size=12))
def test_kept_answers_change_no_plan(host: GeneratedHost, policy: Policy, steps: list[Step]) -> None:
    usages = {usage.image_id: usage for usage in host.usages}
    moment, kept = Moment(host.images, usages, policy, host.containers), KeptAnswers()
    for step in (lambda same: same, *steps):
        moment = step(moment)
        assert comparable(moment.plan(kept)) == comparable(moment.plan())


def test_an_image_that_nothing_happens_to_is_evaluated_once_and_again_when_it_is_due() -> None:
    image = pytorch_image("a")
    used = idle_usage(image, last_used=NOW - timedelta(days=1))
    kept, moment = KeptAnswers(), Moment((image,), {image.id: used}, Policy(ttl=timedelta(days=14)))
    first = moment.plan(kept).decisions[0]
    assert replace(moment, now=NOW + timedelta(days=12)).plan(kept).decisions[0] is first
    due = replace(moment, now=NOW + timedelta(days=13)).plan(kept)
    assert [item.image.id for item in due.evictions] == [image.id]
    assert due.evictions[0].idle == timedelta(days=14)
