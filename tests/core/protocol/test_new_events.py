"""Events: built without a number, stored, numbered, and read back."""

from datetime import timedelta

import pytest

from agent.core.model import Class, Verdict
from agent.core.policy.decision import Action, Decision, HeldBy, Outcome, Plan, Reason
from agent.core.protocol import new_events, payloads
from agent.core.protocol.new_events import NewEvent
from agent.core.usage.continuity import BlindPeriod
from tests.support.builders import NOW, pulled_image
from tests.support.times import HOUR

DUE = Decision(
    image=pulled_image("a", "team/a:1"),
    verdict=Verdict(kind=Class.PYTORCH),
    action=Action.EVICT,
    reason=Reason.IDLE_TTL,
    explanation="idle 15 d, TTL 14 d",
    due=NOW,
)
PLAN = Plan(at=NOW, decisions=(DUE,), evictions=(DUE,))
REF = new_events.image_ref(DUE)
EXAMPLES = (
    new_events.decision(DUE, REF, NOW, "d1"),
    new_events.outcome("d1", REF, Outcome.REMOVED, NOW, measured_bytes=5),
    new_events.sweep(PLAN, PLAN, [Outcome.REMOVED], NOW, 5),
    new_events.gap(BlindPeriod(NOW - HOUR, NOW, "restart"), NOW),
    new_events.build_cache(
        "pruned", NOW, unused_for=timedelta(days=7), records=3, estimated_bytes=9, measured_bytes=8, error=None
    ),
    new_events.dropped([(1, 2), (4, 4)], "outbox-full", NOW),
)


def numbered(event: NewEvent) -> payloads.Event:
    return payloads.event(
        host="gpu-07", epoch="e", seq=7, kind=event.kind, at=event.at, subject=event.subject, data=dict(event.data)
    )


def test_every_type_of_event_has_an_example_here() -> None:
    assert [event.kind for event in EXAMPLES] == list(payloads.EVENT_DATA)


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.kind)
def test_an_event_has_its_number_first_in_its_data_and_reads_back_as_it_was_built(event: NewEvent) -> None:
    sent = payloads.Event.model_validate_json(numbered(event).encode())
    assert (sent.id, sent.type, list(sent.data.items())) == (
        "gpu-07/e/7",
        event.kind,
        [("epoch", "e"), ("seq", 7), *event.data.items()],
    )
    found = payloads.data_of(sent)
    assert type(found) is payloads.EVENT_DATA[event.kind]
    assert found.stored() == event.data


def test_an_event_of_a_newer_agent_and_malformed_data_have_no_known_data() -> None:
    sent = numbered(EXAMPLES[0])
    assert payloads.data_of(sent.model_copy(update={"type": "torchkeeper.moon-phase"})) is None
    assert payloads.data_of(sent.model_copy(update={"data": {"epoch": "e", "seq": 7}})) is None


@pytest.mark.parametrize(
    ("held_by", "mode"), [(None, "enforce"), (HeldBy.WINDOW, "enforce"), (HeldBy.OBSERVE, "observe")]
)
def test_the_mode_is_observe_only_where_that_is_what_holds(held_by: HeldBy | None, mode: str) -> None:
    plan = Plan(at=NOW, decisions=(DUE,), held_by=held_by)
    assert new_events.sweep(plan, plan, [], NOW, None).data["mode"] == mode
