"""The plan: a decision for every image, from facts, settings and `now`.

Both the `plan` command and the real sweep use this function, so the command shows what the sweep does.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from agent.core.images import isolation
from agent.core.images.references import ReferenceIndex
from agent.core.model import Class, Container, Image, Snapshot, Usage, Verdict
from agent.core.policy import decide, grace, limits, newest, pressure, schedule
from agent.core.policy.decide import Context, Evaluation
from agent.core.policy.decision import Action, Decision, HeldBy, Plan
from agent.core.policy.kept_answers import AnswersOfPlan, KeptAnswers
from agent.core.policy.listing_facts import ListingFacts
from agent.core.policy.parents import children_of, order
from agent.core.policy.settings import Policy
from agent.core.pytorch import operators

_UNKNOWN = Verdict(kind=Class.OTHER)  # for an image that could not be inspected: its reason is `unknown`


def plan(
    snapshot: Snapshot,
    verdicts: Mapping[str, Verdict],
    usages: Mapping[str, Usage],
    policy: Policy,
    now: datetime,
    context: Context,
    kept: KeptAnswers | None = None,
) -> Plan:
    """Decide about every image of the snapshot. An image without a usage counts as first seen now.

    `kept`: the answers of earlier plans, to which this one adds; None evaluates every image.
    """
    inputs = _PlanInputs.of(snapshot, verdicts, usages, context, now, kept or KeptAnswers())
    decisions = inputs.decide(policy)
    waiting: dict[str, Decision] = {}
    if context.pending_policy is not None and now < context.pending_policy.until:
        before = (
            inputs.without_active_pressure().decide(context.pending_policy.before)
            if context.pending_policy.before is not None
            else {}
        )
        waiting = grace.deferred(decisions, before, context.pending_policy.until, now)
    return _assemble({**decisions, **waiting}, tuple(waiting.values()), inputs, policy)


@dataclass(frozen=True, slots=True, kw_only=True)
class _PlanInputs:
    """All facts of one moment, for any policy."""

    facts: ListingFacts
    verdicts: Mapping[str, Verdict]
    usages: Mapping[str, Usage]
    containers: Mapping[str, tuple[Container, ...]]
    watched_since: datetime  # the first listing ever; earlier uses are unknown
    context: Context
    now: datetime
    kept: KeptAnswers

    @classmethod
    def of(
        cls,
        snapshot: Snapshot,
        verdicts: Mapping[str, Verdict],
        usages: Mapping[str, Usage],
        context: Context,
        now: datetime,
        kept: KeptAnswers,
    ) -> "_PlanInputs":
        facts = kept.facts(snapshot.images)
        return cls(
            facts=facts,
            verdicts=verdicts,
            usages=usages,
            containers=_containers_by_image(snapshot.containers, facts.names),
            watched_since=min((usage.first_seen for usage in usages.values()), default=now),
            context=context,
            now=now,
            kept=kept,
        )

    @property
    def images(self) -> tuple[Image, ...]:
        return self.facts.images

    def decide(self, policy: Policy) -> dict[str, Decision]:
        """A decision for every image: by its own facts, then by disk pressure, then by its children's decisions."""
        verdicts = operators.lifted(self.verdicts, self.images, policy.known)
        kept = newest.kept(self.images, verdicts, policy)
        answers_of_plan = self.kept.for_policy(policy, self.context, self.now)

        def answer(image: Image) -> Decision:
            verdict, why = verdicts.get(image.id, _UNKNOWN), kept.why.get(image.id, "")
            return self._answer(image, verdict, policy, why, answers_of_plan)

        found, failed = isolation.each(self.images, answer)
        answers_of_plan.forget_all_but(self.facts.reclaimable.keys())
        failures = {**kept.failures, **failed}
        answers = {
            image.id: decide.unknown(image, failures[image.id]) if image.id in failures else found[image.id]
            for image in self.images
        }
        if self.is_under_pressure(policy):
            wanted = pressure.bytes_to_free(policy.pressure, self.context.disk, self.facts.images_bytes)
            state = self.describe_pressure(policy)
            for key in pressure.select_victims(answers, self.facts.parents, self.facts.layer_index.copy(), wanted):
                image, verdict = self.facts.by_id[key], verdicts.get(key, _UNKNOWN)
                # evaluated anew: a kept answer has the idle time of an earlier plan
                answers[key] = pressure.evict(self._evaluate(image, verdict, policy, kept.why.get(key, "")), state)
        return self.facts.parents.apply_to(answers)

    def without_active_pressure(self) -> "_PlanInputs":
        """The same inputs without active disk pressure, which belongs to the policy that caused it."""
        return replace(self, context=replace(self.context, under_pressure=False))

    def is_under_pressure(self, policy: Policy) -> bool:
        before = self.context.under_pressure
        return pressure.is_under_pressure(policy.pressure, self.context.disk, self.facts.images_bytes, before=before)

    def describe_pressure(self, policy: Policy) -> str:
        at_least = self.facts.understated
        return pressure.describe(policy.pressure, self.context.disk, self.facts.images_bytes, at_least=at_least)

    def shortfall_bytes(self, policy: Policy, freed_bytes: int) -> int:
        """The bytes that still have to be freed under pressure, after `freed_bytes` were."""
        wanted = pressure.bytes_to_free(policy.pressure, self.context.disk, self.facts.images_bytes)
        return max(0, wanted - freed_bytes) if self.is_under_pressure(policy) else 0

    def _answer(
        self, image: Image, verdict: Verdict, policy: Policy, newest_clause: str, answers: AnswersOfPlan
    ) -> Decision:
        evaluation = partial(self._evaluate, image, verdict, policy, newest_clause)
        usage = self.usages.get(image.id)
        if usage is None:  # first seen now, whenever now is
            return evaluation()
        containers, estimated_bytes = self.containers.get(image.id, ()), self.facts.reclaimable[image.id]
        inputs = (image, verdict, usage, containers, newest_clause, self.watched_since, estimated_bytes)
        return answers.answer(inputs, evaluation)

    def _evaluate(self, image: Image, verdict: Verdict, policy: Policy, newest_clause: str) -> Decision:
        usage = self.usages.get(image.id)
        answer = Evaluation(
            image=image,
            verdict=verdict,
            usage=usage or Usage(image_id=image.id, first_seen=self.now),
            containers=self.containers.get(image.id, ()),
            policy=policy,
            now=self.now,
            context=self.context,
            newest=newest_clause,
            watched_since=self.watched_since if usage is not None else self.now,
            estimated_bytes=self.facts.reclaimable[image.id],
        ).decide()
        signs = (sign.text for sign in answer.verdict.evidence)
        # raises for an image whose texts cannot be encoded, and so cannot be published
        " ".join((answer.explanation, answer.last_used_by, *answer.warnings, *signs)).encode()
        return answer


def passes_recheck(decision: Decision, fresh: Plan) -> bool:
    """The recheck: whether a plan made just before the removal still contains this eviction.

    For a cascaded parent, its last child is gone by then, so the parent is judged by its present state.
    """
    now = next((item for item in fresh.decisions if item.image.id == decision.image.id), None)
    if now is None or now.image.all_references != decision.image.all_references:
        return False
    if not decision.cascaded or now.action is Action.EVICT:
        return any(item.image.id == decision.image.id for item in fresh.evictions)
    with_children = children_of(item.image for item in fresh.decisions)
    return now.may_cascade and decision.image.id not in with_children and fresh.held_by is None


def _containers_by_image(containers: Iterable[Container], names: ReferenceIndex) -> dict[str, tuple[Container, ...]]:
    """Image ID -> the containers in any state that use it as their image or as a mount."""
    by_image: dict[str, tuple[Container, ...]] = {}
    for container in containers:
        mounted = {names.resolve(name) or name for name in container.image_mounts}
        for image_id in {container.image_id, *mounted}:
            by_image[image_id] = (*by_image.get(image_id, ()), container)
    return by_image


def _assemble(
    decisions: Mapping[str, Decision], deferred: tuple[Decision, ...], inputs: _PlanInputs, policy: Policy
) -> Plan:
    context, now = inputs.context, inputs.now
    held_by = _plan_held_by(context, policy, now)
    by_id = {
        key: replace(value, held_by=held_by or _backoff(key, context, now)) if value.action is Action.EVICT else value
        for key, value in decisions.items()
    }
    evicting = order({key: value for key, value in by_id.items() if value.action is Action.EVICT})
    for key in limits.over_limit(
        _ready_now([by_id[key] for key in evicting]), policy.limits, context.past_evictions, now
    ):
        by_id[key] = replace(by_id[key], held_by=HeldBy.RATE_LIMIT)
    estimated = inputs.facts.layer_index.reclaimable_together(evicting)
    opens = schedule.next_opening(policy.schedule, now) if held_by is HeldBy.WINDOW else None
    return Plan(
        at=now,
        decisions=tuple(by_id.values()),
        evictions=_ready_now([by_id[key] for key in evicting]),
        held_by=held_by,
        opens=opens,
        under_pressure=inputs.is_under_pressure(policy),
        pressure=inputs.describe_pressure(policy),
        shortfall_bytes=inputs.shortfall_bytes(policy, estimated),
        deferred=deferred,
        deferred_bytes=inputs.facts.layer_index.reclaimable_together(item.image.id for item in deferred),
        next_due=_next_due(by_id.values(), policy, context, now, opens),
        estimated_bytes=estimated,
    )


def _plan_held_by(context: Context, policy: Policy, now: datetime) -> HeldBy | None:
    """Why all evictions of this plan wait. Stream trust is checked last, because it recovers on its own."""
    overrides = context.overrides
    if policy.observe or context.observe_only:
        return HeldBy.OBSERVE
    if overrides.is_paused(now) or not overrides.readable:
        return HeldBy.PAUSED
    if not schedule.is_open(policy.schedule, now):
        return HeldBy.WINDOW
    if not context.clock_trusted:
        return HeldBy.CLOCK
    return None if context.proven else HeldBy.UNPROVEN


def _backoff(image_id: str, context: Context, now: datetime) -> HeldBy | None:
    not_before = context.backoff.get(image_id)
    return HeldBy.BACKOFF if not_before is not None and now < not_before else None


def _ready_now(evicting: list[Decision]) -> tuple[Decision, ...]:
    """The evictions that happen now, in order. A parent waits for a child that waits."""
    waiting: set[str] = set()
    ready: list[Decision] = []
    for decision in evicting:
        if decision.held_by is None and decision.image.id not in waiting:
            ready.append(decision)
        else:
            waiting.add(decision.image.parent)
    return tuple(ready)


def _next_due(
    decisions: Iterable[Decision], policy: Policy, context: Context, now: datetime, opens: datetime | None
) -> datetime | None:
    """When this plan may change only because time passes; None: never."""
    times = [decision.due for decision in decisions]
    times += context.backoff.values()
    times += [pin.until for pin in context.overrides.pins]
    times += [opens, context.overrides.paused_until, limits.next_slot(policy.limits, context.past_evictions, now)]
    return min((at for at in times if at is not None and at > now), default=None)
