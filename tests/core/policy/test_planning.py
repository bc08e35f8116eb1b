"""What a plan says beside action and reason: the first of several reasons, times, sentences, order, the next look."""

from datetime import UTC, datetime, timedelta

import pytest

from agent.cli import documents
from agent.core.policy import schedule
from agent.core.policy.decide import Context
from agent.core.policy.decision import HeldBy, Reason, Step
from agent.core.policy.overrides import Overrides, Pin
from agent.core.policy.schedule import Schedule
from agent.core.policy.settings import Policy, Pressure, Rule
from agent.core.timekeeping import MachineOff
from agent.core.usage.tracker import IgnoredRuns, Use
from tests.core.builders import DAY, HOUR, LONG_AGO, NOW, container, decide, only, pytorch_image, usage, verdict

A = pytorch_image("a")
SHUT = Schedule(windows=(schedule.parse("02:00-05:00"),))  # at noon, which NOW is
OPEN = Schedule(windows=(schedule.parse("11:00-12:01"),))
PINNED = Context(overrides=Overrides(pins=(Pin(id=A.id, reference="", at=LONG_AGO, until=NOW + 2 * DAY),)))


ORDER: list[tuple[str, dict[str, object]]] = [
    ("in-use", {"containers": (container(A),)}),
    ("excluded", {"exclude": ("team/*",)}),
    ("pinned", {"pins": (Pin(id=A.id, reference="", at=LONG_AGO),)}),
    ("label-keep", {"labels": {"torchkeeper.keep": "true"}}),
    ("protected-tag", {"protect": ("team/*",)}),
    ("rule-keep", {"rules": (Rule(match="team/*", keep=True),)}),
    ("local-only", {"origin": None}),
    ("min-age", {"references_changed": NOW}),
    ("gap", {"gap_end": NOW}),
]


@pytest.mark.parametrize("first", range(len(ORDER)), ids=[name for name, _ in ORDER])
def test_of_several_reasons_the_first_in_the_order_is_told(first: int) -> None:
    given: dict[str, object] = {}
    for _, more in ORDER[first:]:
        given.update(more)
    asked = pytorch_image("a", origin=given.get("origin", "x@sha256:1"), labels=given.get("labels", {}))
    rules = Policy(
        exclude=given.get("exclude", ()),  # type: ignore[arg-type]
        protect=given.get("protect", ()),  # type: ignore[arg-type]
        rules=given.get("rules", ()),  # type: ignore[arg-type]
    )
    context = Context(overrides=Overrides(pins=given.get("pins", ())), gap_end=given.get("gap_end"))  # type: ignore[arg-type]
    known = usage(asked, references_changed=given.get("references_changed"))
    plan = decide(
        asked,
        rules=rules,
        context=context,
        usages=(known,),
        containers=given.get("containers", ()),  # type: ignore[arg-type]
    )
    assert verdict(plan, asked) == ("keep", ORDER[first][0])


def test_a_running_container_is_a_use_now() -> None:
    decision = only(decide(A, containers=(container(A, "trainer", "running"),)))
    assert (decision.last_used, decision.last_used_by, decision.idle) == (NOW, "trainer", timedelta())


def test_an_exited_container_tells_the_end_of_its_run() -> None:
    ended = NOW - 3 * DAY
    decision = only(decide(A, containers=(container(A, last_active=ended),)))
    assert (decision.last_used, decision.idle_since) == (ended, ended)


def test_a_gap_floors_idle_since_and_leaves_last_used() -> None:
    decision = only(decide(A, context=Context(gap_end=NOW - DAY)))
    assert (decision.last_used, decision.idle_since) == (LONG_AGO, NOW - DAY)


def test_time_in_which_the_machine_was_off_is_no_idle_time() -> None:
    month = Context(machine_off=(MachineOff(NOW - 31 * DAY, NOW - DAY),))
    decision = only(decide(A, usages=(usage(A, last_used=NOW - 33 * DAY),), context=month))
    assert (decision.reason.value, decision.idle, decision.last_used) == ("recent", 3 * DAY, NOW - 33 * DAY)


def test_the_explanation_is_a_sentence_with_idle_time_ttl_and_bytes() -> None:
    asked = pytorch_image("a", layers={"sha256:big": 4_800_000_000})
    decision = only(decide(asked, usages=(usage(asked, last_used=NOW - 15 * DAY - 3 * HOUR),)))
    assert decision.explanation == "idle 15 d 3 h, TTL 14 d; frees about 4.8 GB"


def test_an_estimate_that_the_engine_understates_is_called_a_minimum() -> None:
    asked = pytorch_image("a", layers={"sha256:big": 4_800_000_000}, packed_bytes=None)
    aged = (usage(asked, last_used=NOW - 15 * DAY),)
    assert only(decide(asked, usages=aged)).explanation == "idle 15 d, TTL 14 d; frees at least 4.8 GB"
    budget = decide(asked, usages=(usage(asked, last_used=NOW - DAY),), rules=Policy(pressure=Pressure(budget=10**9)))
    assert only(budget).explanation == "images take at least 4.8 GB (budget 1.0 GB); idle 1 d; frees at least 4.8 GB"


WARNINGS = [
    ({}, ()),
    ({"torchkeeper.keep": "true"}, ()),
    ({"torchkeeper.keep": " YES "}, ()),
    ({"torchkeeper.keep": "0"}, ()),
    ({"torchkeeper.keep": ""}, ("label torchkeeper.keep: '' is neither true nor false, so it keeps the image",)),
    ({"torchkeeper.keep": "off"}, ("label torchkeeper.keep: 'off' is neither true nor false, so it keeps the image",)),
]


@pytest.mark.parametrize(("labels", "warnings"), WARNINGS, ids=str)
def test_labels_that_are_unclear_are_warned_of(labels: dict[str, str], warnings: tuple[str, ...]) -> None:
    assert only(decide(pytorch_image("a", labels=labels))).warnings == warnings


def test_two_unclear_labels_are_two_warnings() -> None:
    odd = pytorch_image("a", labels={"torchkeeper.keep": "x", "torchkeeper.ttl": "soon"})
    told = [warning.partition(":")[0] for warning in only(decide(odd)).warnings]
    assert told == ["label torchkeeper.keep", "label torchkeeper.ttl"]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("", "kept: its label torchkeeper.keep"),
        ("true", "kept: its label torchkeeper.keep=true"),
        ("a\n" + 200 * "b", "kept: its label torchkeeper.keep=a\N{REPLACEMENT CHARACTER}" + 97 * "b" + "…"),
    ],
    ids=["empty", "true", "long"],
)
def test_a_keep_label_is_told_with_its_value_in_one_short_line(value: str, why: str) -> None:
    assert only(decide(pytorch_image("a", labels={"torchkeeper.keep": value}))).explanation == why


HOLDS = [
    ("observe mode", {"rules": Policy(observe=True)}, HeldBy.OBSERVE),
    ("an engine that is only observed", {"context": Context(observe_only=True)}, HeldBy.OBSERVE),
    ("a pause", {"context": Context(overrides=Overrides(paused=True))}, HeldBy.PAUSED),
    (
        "a pause that lasts",
        {"context": Context(overrides=Overrides(paused=True, paused_until=NOW + DAY))},
        HeldBy.PAUSED,
    ),
    ("a pause that is over", {"context": Context(overrides=Overrides(paused=True, paused_until=NOW))}, None),
    ("holds that cannot be read", {"context": Context(overrides=Overrides(readable=False))}, HeldBy.PAUSED),
    ("a stream that is not proven", {"context": Context(proven=False)}, HeldBy.UNPROVEN),
    ("a clock that jumped", {"context": Context(clock_trusted=False)}, HeldBy.CLOCK),
    ("a refusal before", {"context": Context(backoff={A.id: NOW + HOUR})}, HeldBy.BACKOFF),
    ("a refusal that is over", {"context": Context(backoff={A.id: NOW})}, None),
    ("a window that is shut", {"rules": Policy(schedule=SHUT)}, HeldBy.WINDOW),
    ("a window that is open", {"rules": Policy(schedule=OPEN)}, None),
    ("observe mode outside of the window", {"rules": Policy(schedule=SHUT, observe=True)}, HeldBy.OBSERVE),
    (
        "a clock that jumped outside of the window",
        {"rules": Policy(schedule=SHUT), "context": Context(clock_trusted=False)},
        HeldBy.WINDOW,
    ),
]


@pytest.mark.parametrize(("what", "given", "held_by"), HOLDS, ids=[case[0] for case in HOLDS])
def test_a_due_eviction_is_held(what: str, given: dict[str, object], held_by: HeldBy | None) -> None:
    plan = decide(A, **given)  # type: ignore[arg-type]
    assert (only(plan).action.value, only(plan).held_by) == ("evict", held_by)
    assert [item.image.id for item in plan.evictions] == ([] if held_by else [A.id])


def test_the_next_look_is_due_when_the_first_image_ripens() -> None:
    soon, later = pytorch_image("a"), pytorch_image("b")
    plan = decide(soon, later, usages=(usage(soon, last_used=NOW - 13 * DAY), usage(later, last_used=NOW - DAY)))
    assert plan.next_due == NOW + DAY


def test_min_age_can_end_after_the_ttl_and_is_waited_for() -> None:
    rules = Policy(ttl=timedelta(minutes=1))
    plan = decide(A, rules=rules, usages=(usage(A, references_changed=NOW),))
    assert plan.next_due == NOW + HOUR


def test_nothing_is_due_where_nothing_can_ripen() -> None:
    assert decide(A, containers=(container(A),)).next_due is None


@pytest.mark.parametrize(
    ("context", "due"),
    [
        (Context(backoff={A.id: NOW + HOUR}), NOW + HOUR),
        (Context(overrides=Overrides(paused=True, paused_until=NOW + DAY)), NOW + DAY),
        (PINNED, NOW + 2 * DAY),
    ],
    ids=["a back-off", "a pause", "a pin"],
)
def test_the_end_of_a_hold_is_waited_for(context: Context, due: datetime) -> None:
    assert decide(A, context=context).next_due == due


def test_the_least_recently_used_goes_first() -> None:
    young, old = pytorch_image("a"), pytorch_image("b")
    plan = decide(young, old, usages=(usage(young, last_used=LONG_AGO + DAY),))
    assert [item.image.id for item in plan.evictions] == [old.id, young.id]


def test_a_ttl_beyond_the_end_of_time_keeps_for_good() -> None:
    plan = decide(A, rules=Policy(ttl=timedelta(days=36500)), now=datetime(9990, 1, 1, tzinfo=UTC))
    assert verdict(plan, A) == ("evict", "idle-ttl")
    plan = decide(A, rules=Policy(ttl=timedelta(days=36500)), usages=(usage(A, last_used=NOW),), now=NOW)
    assert verdict(plan, A) == ("keep", "recent")


def test_a_plan_outside_of_the_window_says_when_it_opens_and_wakes_then() -> None:
    plan = decide(A, rules=Policy(schedule=SHUT))
    opening = NOW.replace(hour=2) + DAY
    assert (plan.held_by, plan.opens, plan.next_due) == (HeldBy.WINDOW, opening, opening)


def test_a_plan_inside_of_the_window_names_no_opening() -> None:
    assert decide(A, rules=Policy(schedule=OPEN)).opens is None


def test_of_those_used_at_the_same_time_the_one_that_frees_the_most_goes_first() -> None:
    small = pytorch_image("a", layers={"sha256:a": 1})
    big = pytorch_image("b", layers={"sha256:b": 2})
    assert [item.image.id for item in decide(small, big).evictions] == [big.id, small.id]


def test_a_gap_changes_nothing_in_the_order() -> None:
    young, old = pytorch_image("a"), pytorch_image("b")
    context = Context(gap_end=NOW - 20 * DAY)
    plan = decide(young, old, usages=(usage(young, last_used=LONG_AGO + DAY),), context=context)
    assert [item.image.id for item in plan.evictions] == [old.id, young.id]


# The steps to a decision

ASKED_FIRST = ["unknown", "not-pytorch", "ambiguous", "in-use", "excluded", "pinned", "label-keep", "protected-tag"]
ASKED = [*ASKED_FIRST, "rule-keep", "keep-newest", "local-only", "min-age", "gap", "dangling", "idle-ttl", "recent"]


def test_every_question_is_a_step_up_to_the_first_answer() -> None:
    used = only(decide(A, usages=(usage(A, last_used=NOW - DAY),)))
    assert [step.reason.value for step in used.steps] == ASKED
    assert [step.answer for step in used.steps if step.answer] == [used.explanation]
    kept = only(decide(A, rules=Policy(protect=("team/*",))))
    assert [step.reason.value for step in kept.steps] == ASKED_FIRST
    assert kept.steps[-1] == Step(Reason.PROTECTED_TAG, kept.explanation)


def test_the_document_adds_what_overruled_the_answer() -> None:
    parent = pytorch_image("a")
    child = pytorch_image("b", parent=parent.id, labels={"torchkeeper.keep": "true"})
    overruled = next(item for item in decide(parent, child).decisions if item.image == parent)
    steps = documents.explain(overruled, (), (), NOW, "gpu-07", ())["steps"]
    assert steps[-2:] == [
        {"reason": "idle-ttl", "answer": "idle 100 d, TTL 14 d; frees about 1.0 kB"},
        {"reason": "has-children", "answer": "1 image built on it stays, so the engine would refuse to remove it"},
    ]
    assert [step["answer"] for step in steps[:-2]] == ["no"] * ASKED.index("idle-ttl")


def test_the_document_of_one_image_is_its_element_of_the_plan_with_uses_and_ignored_runs() -> None:
    plan = decide(A)
    used = Use(A.id, "c1", "start", NOW - DAY, "train")
    document = documents.explain(
        only(plan), [used], [IgnoredRuns("trivy*", 2, NOW - DAY, NOW)], NOW, "gpu-07", ["a note"]
    )
    assert document["steps"]
    assert {key: value for key, value in document.items() if key != "steps"} == {
        **documents.plan(plan, "gpu-07", ())["images"][0],
        "uses": [{"at": "2026-05-31T12:00:00Z", "action": "start", "by": "train"}],
        "ignored_runs": [
            {"pattern": "trivy*", "runs": 2, "first_at": "2026-05-31T12:00:00Z", "last_at": "2026-06-01T12:00:00Z"}
        ],
        "without_version": [],
        "at": "2026-06-01T12:00:00Z",
        "host": "gpu-07",
        "notes": ["a note"],
    }
