"""Properties of every plan, and the liveness that keeps them honest."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from agent.core.judge import Context
from agent.core.model import Action, Container, Holds, Image, Pin, Plan, Policy, Reason, Rule, Usage
from tests.core.builders import LONG_AGO, NOW, container, decide, image, image_id, pytorch_image

TIMES = st.integers(-200, 0).map(lambda days: NOW + timedelta(days=days))
TTLS = st.integers(1, 60).map(lambda days: timedelta(days=days))
NAMES = st.sampled_from(["team/a:1", "team/a:latest", "ci/a:2", "x/prod/a:3", "r.io:5000/a:4"])
GLOBS = st.sampled_from(["team/*", "ci/*", "*:latest", "*/prod/*", "none"])


@st.composite
def images(draw: st.DrawFn, number: int) -> Image:
    make = draw(st.sampled_from([pytorch_image, pytorch_image, pytorch_image, image]))
    parent = draw(st.sampled_from(["", *(image_id(f"i{below}") for below in range(number))]))
    labels = draw(st.sampled_from([{}, {}, {"torchkeeper.keep": "true"}, {"torchkeeper.ttl": "30d"}]))
    return make(
        f"i{number}",
        references=tuple(draw(st.lists(NAMES, max_size=2, unique=True))),
        parent=parent,
        labels=labels,
        origin=draw(st.sampled_from([None, "a@sha256:1"])),
        layers={"sha256:base": 50, f"sha256:l{number}": draw(st.integers(0, 100))},
    )


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, object]:
    known = tuple(draw(images(number)) for number in range(draw(st.integers(1, 5))))
    usages = tuple(
        Usage(
            image_id=item.id,
            first_seen=draw(TIMES),
            arrived=draw(st.none() | TIMES),
            last_used=draw(st.none() | TIMES),
            released=draw(st.none() | TIMES),
            protected=draw(st.booleans()),
            references_changed=draw(st.none() | TIMES),
        )
        for item in known
    )
    held = draw(st.lists(st.sampled_from(known), max_size=1))
    return {"images": known, "usages": usages, "containers": tuple(container(item) for item in held)}


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    return Policy(
        ttl=draw(TTLS),
        exclude=tuple(draw(st.lists(GLOBS, max_size=1))),
        protect=tuple(draw(st.lists(GLOBS, max_size=1))),
        rules=tuple(Rule(match=glob, ttl=draw(TTLS)) for glob in draw(st.lists(GLOBS, max_size=2))),
        evict_local=draw(st.booleans()),
    )


def planned(world: dict[str, object], rules: Policy, context: Context | None = None) -> Plan:
    return decide(
        *world["images"],  # type: ignore[misc]
        usages=world["usages"],  # type: ignore[arg-type]
        containers=world["containers"],  # type: ignore[arg-type]
        rules=rules,
        context=context,
    )


def evicted(plan: Plan) -> set[str]:
    return {item.image.id for item in plan.decisions if item.action is Action.EVICT}


@given(worlds(), policies())
def test_every_image_has_one_decision_and_a_sentence(world: dict[str, object], rules: Policy) -> None:
    plan = planned(world, rules)
    assert [item.image for item in plan.decisions] == list(world["images"])  # type: ignore[call-overload]
    assert all(item.explanation for item in plan.decisions)


@given(worlds(), policies())
def test_what_is_used_or_not_pytorch_never_goes(world: dict[str, object], rules: Policy) -> None:
    held = {item.image_id for item in world["containers"]}  # type: ignore[attr-defined]
    for item in planned(world, rules).decisions:
        if item.image.id in held or item.verdict.kind.value == "other":
            assert item.action is Action.KEEP


@given(worlds(), policies(), TTLS)
def test_a_longer_ttl_never_evicts_more(world: dict[str, object], rules: Policy, more: timedelta) -> None:
    longer = replace(rules, ttl=rules.ttl + more)
    assert evicted(planned(world, longer)) <= evicted(planned(world, rules))


@given(worlds(), policies(), st.integers(0, 4))
def test_a_pin_never_evicts_more(world: dict[str, object], rules: Policy, which: int) -> None:
    pin = Pin(id=image_id(f"i{which}"), reference="", at=LONG_AGO)
    assert evicted(planned(world, rules, Context(holds=Holds(pins=(pin,))))) <= evicted(planned(world, rules))


@given(worlds(), policies(), TIMES)
def test_a_gap_never_evicts_more(world: dict[str, object], rules: Policy, end: object) -> None:
    assert evicted(planned(world, rules, Context(gap_end=end))) <= evicted(planned(world, rules))  # type: ignore[arg-type]


@given(worlds(), policies(), st.integers(0, 4))
def test_a_container_never_evicts_more(world: dict[str, object], rules: Policy, which: int) -> None:
    more = Container(id="more", image_id=image_id(f"i{which}"))
    busier = {**world, "containers": (*world["containers"], more)}  # type: ignore[misc]
    assert evicted(planned(busier, rules)) <= evicted(planned(world, rules))


@given(worlds(), policies())
def test_what_is_held_evicts_nothing(world: dict[str, object], rules: Policy) -> None:
    for context in (Context(proven=False), Context(holds=Holds(paused=True)), Context(holds=Holds(readable=False))):
        assert planned(world, rules, context).evictions == ()
    assert planned(world, replace(rules, observe=True)).evictions == ()


@given(worlds(), policies())
def test_children_go_before_their_parents_and_no_parent_goes_alone(world: dict[str, object], rules: Policy) -> None:
    plan = planned(world, rules)
    order = [item.image.id for item in plan.evictions]
    for item in plan.decisions:
        parent = item.image.details.parent if item.image.details else ""
        if parent in order:
            assert item.image.id in order
            assert order.index(item.image.id) < order.index(parent)


@given(worlds(), policies())
def test_idle_unprotected_unused_images_do_go(world: dict[str, object], rules: Policy) -> None:
    """Liveness: a policy that never evicts passes every test of safety."""
    plan = planned(world, rules)
    for item in plan.decisions:
        stays = item.reason in (Reason.RECENT, Reason.MIN_AGE, Reason.GAP)
        if stays and item.due is not None:
            known = {**world, "containers": ()}
            later = decide(
                *known["images"],  # type: ignore[misc]
                usages=tuple(replace(one, protected=False) for one in known["usages"]),  # type: ignore[attr-defined]
                rules=rules,
                now=item.due,
            )
            then = next(one for one in later.decisions if one.image.id == item.image.id)
            assert then.action is Action.EVICT or then.reason is Reason.HAS_CHILDREN


@given(worlds(), policies())
def test_together_they_free_each_layer_once(world: dict[str, object], rules: Policy) -> None:
    plan = planned(world, rules)
    going = evicted(plan)
    stays = [item for item in world["images"] if item.id not in going]  # type: ignore[attr-defined]
    everything = {layer for item in world["images"] for layer in _sizes(item).items()}  # type: ignore[attr-defined]
    kept = {layer for item in stays for layer in _sizes(item).items()}
    assert plan.estimated_bytes == sum(size for _, size in everything - kept)


def _sizes(item: Image) -> dict[str, int]:
    assert item.details is not None
    if any(step.size_bytes == 0 for step in item.details.history):  # then the whole counts for the base
        return {item.details.layers[0]: item.size_bytes}
    return dict(zip(item.details.layers, (step.size_bytes for step in item.details.history), strict=True))
