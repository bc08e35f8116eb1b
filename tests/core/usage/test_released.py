"""The end of the last protection begins a fresh idle time, whether an agent saw that end or not."""

from datetime import datetime

import pytest

from agent.core.model import Image
from agent.core.policy.decide import Context
from agent.core.policy.overrides import Overrides, Pin
from tests.core.builders import DAY, HOUR, LONG_AGO, NOW, decide, image_id, only, pytorch_image, usage, verdict

A = pytorch_image("a")


def ended(at: datetime, of: Image = A, **changes: object) -> Context:
    pin = Pin(**{"id": of.id, "reference": "", "at": LONG_AGO, "until": at, **changes})  # type: ignore[arg-type]
    return Context(overrides=Overrides(pins=(pin,)))


def test_a_pin_that_ended_while_no_agent_ran_counts_as_the_start_of_idle_time() -> None:
    assert only(decide(A, context=ended(NOW - DAY))).idle_since == NOW - DAY
    assert verdict(decide(A, context=ended(NOW - DAY)), A) == ("keep", "recent")


def test_a_pin_that_ended_a_ttl_ago_keeps_nothing() -> None:
    assert verdict(decide(A, context=ended(NOW - 14 * DAY)), A) == ("evict", "idle-ttl")


def test_a_pin_by_reference_counts_for_what_bears_the_name_now() -> None:
    by_name = ended(NOW - HOUR, id=image_id("old"), reference="team/a:1")
    assert only(decide(A, context=by_name)).idle_since == NOW - HOUR


def test_the_latest_of_several_ends_counts() -> None:
    pins = tuple(Pin(id=A.id, reference="", at=LONG_AGO, until=NOW - days * DAY) for days in (9, 2, 5))
    assert only(decide(A, context=Context(overrides=Overrides(pins=pins)))).idle_since == NOW - 2 * DAY


def test_the_end_of_one_pin_is_no_release_while_another_protection_holds() -> None:
    pins = (Pin(id=A.id, reference="", at=LONG_AGO), Pin(id=A.id, reference="team/a:1", at=LONG_AGO, until=NOW))
    assert only(decide(A, context=Context(overrides=Overrides(pins=pins)))).idle_since == LONG_AGO


def test_the_end_of_another_images_pin_changes_nothing() -> None:
    assert only(decide(A, context=ended(NOW, id=image_id("other")))).idle_since == LONG_AGO


@pytest.mark.parametrize("references", [("team/a:1",), ("team/a:1", "x/a:2")])
def test_a_protection_that_a_sweep_saw_and_that_is_gone_ended_now(references: tuple[str, ...]) -> None:
    seen = pytorch_image("a", *references)
    assert only(decide(seen, usages=(usage(seen, protected=True),))).idle_since == NOW
