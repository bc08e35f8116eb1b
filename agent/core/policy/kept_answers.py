"""Answers that are kept from one plan to the next, so that a plan evaluates only the images that changed.

An answer is kept while everything that it depends on stands, and only until the first moment at which time alone may
change it. An eviction is never kept: it is decided anew in every plan. What counts time in a kept answer (`idle`, the
sentence for people) is as old as the answer, and nobody reads it: an inventory has such texts for evictions only.
A plan with kept answers is otherwise equal to one without.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime

from agent.core.model import Container, Image, Usage, Verdict
from agent.core.policy import idle
from agent.core.policy.decide import Context
from agent.core.policy.decision import Action, Decision
from agent.core.policy.listing_facts import ListingFacts
from agent.core.policy.settings import Policy

OwnInputs = tuple[Image, Verdict, Usage, tuple[Container, ...], str, datetime, int]


@dataclass(slots=True)
class _Answers:
    """The answers under one policy, and what all of them depend on."""

    policy: Policy
    shared: tuple[object, ...]
    made_until: datetime  # the latest time at which one was made
    valid_until: datetime  # when a pin ends, which may change any of them
    by_image: dict[str, tuple[OwnInputs, Decision]] = field(default_factory=dict)


class KeptAnswers:
    """The facts of the last listing, and the last answer for each image. For one thread at a time."""

    def __init__(self) -> None:
        self._facts: ListingFacts | None = None
        self._answers: list[_Answers] = []  # of the present policy, and of the one before during a grace period

    def facts(self, listed: tuple[Image, ...]) -> ListingFacts:
        """The facts of a listing, made once."""
        if self._facts is None or self._facts.listed != listed:
            self._facts = ListingFacts.of(listed)
        return self._facts

    def for_policy(self, policy: Policy, context: Context, now: datetime) -> "AnswersOfPlan":
        """The answers that one plan may use and add to."""
        shared = (context.overrides, context.gap_end, context.machine_off)
        found = next((item for item in self._answers if item.policy == policy), None)
        if found is None or found.shared != shared or not found.made_until <= now < found.valid_until:
            pins_end = [pin.until for pin in context.overrides.pins if pin.until is not None and pin.until > now]
            found = _Answers(policy, shared, now, min(pins_end, default=idle.NEVER))
        found.made_until = now
        self._answers = [found, *(item for item in self._answers if item.policy != policy)][:2]
        known_future = context.gap_end is not None and context.gap_end > now
        return AnswersOfPlan(found, now, keep=not known_future)


class AnswersOfPlan:
    """The answers of one plan at one time."""

    def __init__(self, answers: _Answers, now: datetime, *, keep: bool) -> None:
        self._by_image = answers.by_image
        self._now = now
        self._keep = keep

    def answer(self, inputs: OwnInputs, evaluate: Callable[[], Decision]) -> Decision:
        """The kept answer for an image, else a new one."""
        image_id = inputs[0].id
        kept = self._by_image.get(image_id)
        if kept is not None and kept[0] == inputs and self._still_holds(kept[1]):
            return kept[1]
        made = evaluate()
        if self._keep and _may_be_kept(inputs, made, self._now):
            self._by_image[image_id] = (inputs, made)
        else:
            self._by_image.pop(image_id, None)
        return made

    def _still_holds(self, decision: Decision) -> bool:
        return decision.valid_until is not None and self._now < decision.valid_until

    def forget_all_but(self, image_ids: Collection[str]) -> None:
        """Drop the answers for images that are gone."""
        for image_id in [image_id for image_id in self._by_image if image_id not in image_ids]:
            del self._by_image[image_id]


def _may_be_kept(inputs: OwnInputs, made: Decision, now: datetime) -> bool:
    """Whether nothing but time can change the answer: no eviction, no time in the future, no protection that ends."""
    image, _, usage, containers, *_ = inputs
    if made.action is Action.EVICT or made.may_cascade or made.protected != usage.protected or image.dangling:
        return False
    times = (usage.last_used, usage.arrived, usage.first_seen, usage.released, usage.references_changed)
    active = (container.last_active for container in containers)
    return all(at is None or at <= now for at in (*times, *active))
