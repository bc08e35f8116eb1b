"""Whatever an image contains, a plan is made; an image that cannot be judged is kept, and the others are decided."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.cli import documents
from agent.core.images import isolation
from agent.core.lint import linter
from agent.core.model import Class, Image
from agent.core.policy import newest, totals
from agent.core.policy.decision import Action, Reason
from agent.core.policy.settings import Policy, Pressure, Rule
from agent.core.protocol import inventory, new_events, payloads
from agent.core.pytorch import classify, evidence
from tests.core import hostile
from tests.core.builders import container, decide, image_id, pytorch_image, usage
from tests.properties.strategies import policies

ERRORS = (OverflowError("date value out of range"), KeyError("x"), RecursionError(), MemoryError(), ValueError("odd"))
FINE = pytorch_image("fine")


@st.composite
def images(draw: st.DrawFn) -> tuple[Image, ...]:
    """Hostile images and some proper ones, each with its own ID."""
    made: list[Image] = [pytorch_image("i0"), pytorch_image("i1", layers={"sha256:base": 50, "sha256:i1": 5})]
    for number in range(2, draw(st.integers(3, 6))):
        name = f"i{number}"
        if draw(st.booleans()):
            made.append(hostile.poisoned(name, draw(st.sampled_from(ERRORS))))
            continue
        names = tuple(draw(st.lists(hostile.TEXTS | st.just(f"team/{name}:1"), max_size=3)))
        details = draw(st.none() | hostile.DETAILS)
        size = draw(hostile.SIZES)
        made.append(Image(id=image_id(name), references=names, origin="x@sha256:1", size_bytes=size, details=details))
    return tuple(made)


@settings(deadline=None)  # the machine is shared
@given(images(), policies(), st.booleans(), st.booleans())
def test_no_image_stops_a_plan_or_its_output(
    found: tuple[Image, ...], rules: Policy, pressed: bool, doubtful: bool
) -> None:
    pressure = Pressure(budget=10) if pressed else Pressure()
    plan = decide(*found, rules=replace(rules, pressure=pressure, evict_ambiguous=doubtful))
    assert [item.image.id for item in plan.decisions] == [image.id for image in found]
    for item, image in zip(plan.decisions, found, strict=True):
        if isinstance(image.details, hostile.Poisoned) or item.failure:
            assert (item.action, item.reason) == (Action.KEEP, Reason.UNKNOWN)
            assert item.failure in item.explanation
    shown = inventory.build(plan, "gpu-07", payloads.Disk(), ())
    assert len(shown.images) == len(found)
    json.dumps(documents.plan(plan, "gpu-07", ()), ensure_ascii=False).encode()
    totals.by_reason(plan)
    for item in plan.evictions:
        json.dumps(new_events.decision(item, new_events.image_ref(item), plan.at, "id").data).encode()


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_an_image_that_cannot_be_judged_is_unknown_and_the_others_are_decided_as_usual(error: Exception) -> None:
    alone = decide(FINE)
    plan = decide(FINE, hostile.poisoned("odd", error))
    assert plan.decisions[0] == alone.decisions[0]
    assert [item.image.id for item in plan.evictions] == [FINE.id]
    odd = plan.decisions[1]
    assert (odd.action, odd.reason, odd.failure) == (Action.KEEP, Reason.UNKNOWN, isolation.failure(error))
    assert odd.explanation == f"it cannot be judged, so it is kept: {isolation.failure(error)}"
    assert odd.image.references == ("team/odd:1",)


def test_an_image_that_raises_in_the_classification_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = pytorch_image("odd", labels={"odd": "yes"})
    gather = evidence.gather

    def stumbling(details: object) -> evidence.ImageEvidence:
        if "odd" in details.labels:  # type: ignore[attr-defined]
            raise ZeroDivisionError("a bug")
        return gather(details)  # type: ignore[arg-type]

    monkeypatch.setattr(evidence, "gather", stumbling)
    plan = decide(odd, FINE)
    assert [(item.reason, item.failure) for item in plan.decisions] == [
        (Reason.UNKNOWN, "ZeroDivisionError: a bug"),
        (Reason.IDLE_TTL, ""),
    ]
    assert classify.classify([odd])[odd.id].kind is Class.OTHER


def test_an_image_whose_layers_cannot_be_added_up_is_unknown() -> None:
    plan = decide(pytorch_image("odd", layers={"sha256:odd": 2**64}), FINE, rules=Policy(pressure=Pressure(budget=1)))
    assert [(item.reason, item.failure) for item in plan.decisions] == [
        (Reason.UNKNOWN, "its layers are larger than any disk"),
        (Reason.IDLE_TTL, ""),
    ]
    assert plan.pressure == "images take 1.0 kB (budget 1 B)"


def test_an_image_whose_names_raise_in_keep_newest_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = pytorch_image("a", "team/a:1.0"), pytorch_image("b", "team/b:1.0")
    builds = newest._builds

    def stumbling(image: Image, *more: object) -> object:
        if image.id == first.id:
            raise ZeroDivisionError
        return builds(image, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(newest, "_builds", stumbling)
    plan = decide(first, second, rules=Policy(keep_newest=1))
    assert [item.reason for item in plan.decisions] == [Reason.UNKNOWN, Reason.KEEP_NEWEST]


def test_a_parent_stays_with_a_child_that_cannot_be_judged() -> None:
    parent = pytorch_image("parent")
    child = pytorch_image("child", parent=parent.id)
    plan = decide(parent, child, usages=(usage(parent), replace(usage(child), last_used_by="\ud800")))
    assert [(item.action, item.reason) for item in plan.decisions] == [
        (Action.KEEP, Reason.HAS_CHILDREN),
        (Action.KEEP, Reason.UNKNOWN),
    ]


def test_the_label_that_overflowed_keeps_its_image_with_a_warning() -> None:
    label = {"torchkeeper.ttl": "999999999w"}
    plan = decide(pytorch_image("a", labels=label), FINE, rules=Policy(dangling_after=timedelta(days=1)))
    warning = "label torchkeeper.ttl: '999999999w' is longer than 100 years"
    assert [(item.reason, item.warnings) for item in plan.decisions] == [
        (Reason.LABEL_KEEP, (warning,)),
        (Reason.IDLE_TTL, ()),
    ]


def test_no_explanation_is_long() -> None:
    image = pytorch_image("a")
    found = decide(image, containers=(container(image, name="x" * 1_000_000),))
    assert (found.decisions[0].reason, len(found.decisions[0].explanation)) == (Reason.IN_USE, 1000)


def test_no_image_stops_lint() -> None:
    odd = hostile.poisoned("odd", KeyError("x"))
    verdicts = classify.classify([FINE]) | {odd.id: classify.classify([FINE])[FINE.id]}
    assert {one.image_id for one in linter.find([odd, FINE], verdicts)} == {FINE.id}


def test_an_image_that_cannot_be_shown_is_counted() -> None:
    plan = decide(FINE, pytorch_image("b"))
    broken = replace(plan.decisions[1], last_used_by="\ud800")
    shown = inventory.build(replace(plan, decisions=(plan.decisions[0], broken)), "gpu-07", payloads.Disk(), ())
    assert ([image.id for image in shown.images], shown.images_left_out) == ([FINE.id], 1)


def test_an_image_with_hundreds_of_long_names_leaves_room_for_the_others() -> None:
    many = [
        pytorch_image(f"many{number}", *(f"team/{'x' * 300}{number}:{tag}" for tag in range(900)))
        for number in range(4)
    ]
    plan = decide(*many, FINE)
    written = [new_events.decision(item, new_events.image_ref(item), plan.at, "id") for item in plan.decisions]
    last = [
        payloads.event(host="a", epoch="e", seq=1, kind=one.kind, at=one.at, subject=one.subject, data=dict(one.data))
        for one in written
    ]
    shown = inventory.build(plan, "gpu-07", payloads.Disk(), [(event, None) for event in last])
    assert (len(shown.images), shown.images_left_out, len(shown.decisions)) == (5, 0, 5)
    found = {image.id: image for image in shown.images}
    assert (len(found[many[0].id].references), len(found[FINE.id].references)) == (inventory.NAMES_SHOWN, 1)
    assert found[many[0].id].warnings[-1] == "850 more names are not listed here"
    assert len(shown.encode()) < payloads.MAX_PAYLOAD


def test_a_name_that_cannot_be_written_keeps_its_image() -> None:
    rules = Policy(rules=(Rule(match="*", keep_newest=3),))
    odd = decide(pytorch_image("a", "team/a:\ud800"), rules=rules).decisions[0]
    assert (odd.reason, odd.image.references, odd.image.details) == (Reason.UNKNOWN, ("team/a:?",), None)
