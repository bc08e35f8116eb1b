"""Policy: each reason, in its order, and its boundaries."""

from datetime import UTC, datetime, timedelta

import pytest

from agent.core.judge import Context
from agent.core.model import HeldBy, Holds, Image, Pin, Policy, Rule, Usage
from agent.core.timekeeping import Absence
from tests.core.builders import (
    DAY,
    HOUR,
    LONG_AGO,
    NOW,
    container,
    decide,
    image,
    image_id,
    only,
    pytorch_image,
    usage,
    verdict,
)

A = pytorch_image("a")
LOCAL = pytorch_image("a", origin=None)
SECOND = timedelta(seconds=1)


def pinned(**changes: object) -> Context:
    fields: dict[str, object] = {"id": A.id, "reference": "", "at": LONG_AGO, **changes}
    return Context(holds=Holds(pins=(Pin(**fields),)))  # type: ignore[arg-type]


CASES = [
    ("an image without any sign of PyTorch", image("p", "postgres:16"), {}, "keep", "not-pytorch"),
    ("one that could not be inspected", Image(id=image_id("x")), {}, "keep", "unknown"),
    ("one that may be PyTorch", image("m", "team/torchlike:1"), {}, "keep", "ambiguous"),
    (
        "one that may be, lifted by the settings",
        image("m", "team/torchlike:1"),
        {"rules": Policy(evict_ambiguous=True)},
        "evict",
        "idle-ttl",
    ),
    (
        "one that may be, lifted by include",
        image("m", "team/torchlike:1"),
        {"rules": Policy(include=("team/*",))},
        "evict",
        "idle-ttl",
    ),
    (
        "what include names does not become PyTorch by it",
        image("p", "postgres:16"),
        {"rules": Policy(include=("*",), evict_ambiguous=True)},
        "keep",
        "not-pytorch",
    ),
    ("a running container's", A, {"containers": (container(A, state="running"),)}, "keep", "in-use"),
    ("an exited container's", A, {"containers": (container(A),)}, "keep", "in-use"),
    ("a container's that was only created", A, {"containers": (container(A, state="created"),)}, "keep", "in-use"),
    (
        "one mounted by reference",
        A,
        {"containers": (container(image("other"), image_mounts=("team/a:1",)),)},
        "keep",
        "in-use",
    ),
    (
        "one mounted by a name without its tag",
        pytorch_image("a", "team/a:latest"),
        {"containers": (container(image("other"), image_mounts=("docker.io/team/a",)),)},
        "keep",
        "in-use",
    ),
    (
        "one mounted by the start of its ID",
        A,
        {"containers": (container(image("other"), image_mounts=(A.id[7:19],)),)},
        "keep",
        "in-use",
    ),
    ("one mounted by ID", A, {"containers": (container(image("other"), image_mounts=(A.id,)),)}, "keep", "in-use"),
    ("an excluded one", A, {"rules": Policy(exclude=("team/*",))}, "keep", "excluded"),
    ("one outside of include", A, {"rules": Policy(include=("other/*",))}, "keep", "excluded"),
    (
        "one with a reference outside of include",
        pytorch_image("a", "team/a:1", "x/a:1"),
        {"rules": Policy(include=("team/*",))},
        "keep",
        "excluded",
    ),
    (
        "an untagged one where include is set",
        pytorch_image("a", references=()),
        {"rules": Policy(include=("*",))},
        "keep",
        "excluded",
    ),
    ("one pinned by ID", A, {"context": pinned()}, "keep", "pinned"),
    (
        "one pinned by reference, though its ID is another by now",
        A,
        {"context": pinned(id=image_id("old"), reference="team/a:1")},
        "keep",
        "pinned",
    ),
    ("one whose pin ends in a second", A, {"context": pinned(until=NOW + SECOND)}, "keep", "pinned"),
    ("one whose pin ends now", A, {"context": pinned(until=NOW)}, "evict", "idle-ttl"),
    ("one labelled keep", pytorch_image("a", labels={"torchkeeper.keep": "true"}), {}, "keep", "label-keep"),
    (
        "one labelled keep with an odd word",
        pytorch_image("a", labels={"torchkeeper.keep": "jup"}),
        {},
        "keep",
        "label-keep",
    ),
    ("one labelled not to keep", pytorch_image("a", labels={"torchkeeper.keep": "false"}), {}, "evict", "idle-ttl"),
    (
        "one with a malformed TTL label",
        pytorch_image("a", labels={"torchkeeper.ttl": "soon"}),
        {},
        "keep",
        "label-keep",
    ),
    ("one with a longer TTL label", pytorch_image("a", labels={"torchkeeper.ttl": "101d"}), {}, "keep", "recent"),
    (
        "a shorter TTL label changes nothing",
        pytorch_image("a", labels={"torchkeeper.ttl": "1s"}),
        {"usages": (usage(A, last_used=NOW - HOUR),)},
        "keep",
        "recent",
    ),
    ("a protected tag", pytorch_image("a", "team/a:latest"), {}, "keep", "protected-tag"),
    ("a protected tag among others", pytorch_image("a", "team/a:1", "x/y/a:stable"), {}, "keep", "protected-tag"),
    ("no tag is protected", pytorch_image("a", "team/a:latest"), {"rules": Policy(protect=())}, "evict", "idle-ttl"),
    ("a rule keeps it", A, {"rules": Policy(rules=(Rule(match="team/*", keep=True),))}, "keep", "rule-keep"),
    (
        "a rule keeps one of its references",
        pytorch_image("a", "team/a:1", "x/a:1"),
        {"rules": Policy(rules=(Rule(match="x/*", keep=True),))},
        "keep",
        "rule-keep",
    ),
    ("one that may exist nowhere else", LOCAL, {}, "keep", "local-only"),
    ("one that may exist nowhere else, allowed", LOCAL, {"rules": Policy(evict_local=True)}, "evict", "idle-ttl"),
    (
        "one that may exist nowhere else, allowed by a rule",
        LOCAL,
        {"rules": Policy(rules=(Rule(match="team/*", evict_local=True),))},
        "evict",
        "idle-ttl",
    ),
    (
        "one that may exist nowhere else, with a reference that no rule allows",
        pytorch_image("a", "team/a:1", "x/a:1", origin=None),
        {"rules": Policy(rules=(Rule(match="team/*", evict_local=True),))},
        "keep",
        "local-only",
    ),
    (
        "one without an origin that the agent saw pulled",
        pytorch_image("a", origin=None, digests=("team/a@sha256:1",)),
        {"usages": (usage(A, pulled=True),)},
        "evict",
        "idle-ttl",
    ),
    (
        "one first seen a moment less than min_age ago",
        A,
        {"usages": (usage(A, first_seen=NOW - HOUR + SECOND),)},
        "keep",
        "min-age",
    ),
    (
        "one that arrived a moment less than min_age ago",
        A,
        {"usages": (usage(A, arrived=NOW - HOUR + SECOND),)},
        "keep",
        "min-age",
    ),
    (
        "one whose references changed a moment less than min_age ago",
        A,
        {"usages": (usage(A, references_changed=NOW - HOUR + SECOND),)},
        "keep",
        "min-age",
    ),
    (
        "one whose references changed just min_age ago",
        A,
        {"usages": (usage(A, references_changed=NOW - HOUR),)},
        "evict",
        "idle-ttl",
    ),
    (
        "one without any usage is first seen now",
        A,
        {"usages": (Usage(image_id=A.id, first_seen=NOW),)},
        "keep",
        "min-age",
    ),
    ("one whose use a gap may hide", A, {"context": Context(gap_end=NOW - DAY)}, "keep", "gap"),
    ("one idle for its TTL since a gap", A, {"context": Context(gap_end=NOW - 14 * DAY)}, "evict", "idle-ttl"),
    ("one idle for just its TTL", A, {"usages": (usage(A, last_used=NOW - 14 * DAY),)}, "evict", "idle-ttl"),
    ("one idle for a moment less", A, {"usages": (usage(A, last_used=NOW - 14 * DAY + SECOND),)}, "keep", "recent"),
    ("one used in the future is used now", A, {"usages": (usage(A, last_used=NOW + DAY),)}, "keep", "recent"),
    ("one that arrived in the future arrived now", A, {"usages": (usage(A, arrived=NOW + DAY),)}, "keep", "min-age"),
    ("one released lately", A, {"usages": (usage(A, released=NOW - DAY),)}, "keep", "recent"),
    ("one whose protection has just ended", A, {"usages": (usage(A, protected=True),)}, "keep", "recent"),
    (
        "one never used counts from when it was first seen",
        A,
        {"usages": (usage(A, last_used=None),)},
        "evict",
        "idle-ttl",
    ),
    (
        "a rule's shorter TTL",
        A,
        {"rules": Policy(rules=(Rule(match="team/*", ttl=DAY),)), "usages": (usage(A, last_used=NOW - 2 * DAY),)},
        "evict",
        "idle-ttl",
    ),
    (
        "of several rules the longest TTL",
        A,
        {
            "rules": Policy(rules=(Rule(match="team/*", ttl=DAY), Rule(match="*:1", ttl=3 * DAY))),
            "usages": (usage(A, last_used=NOW - 2 * DAY),),
        },
        "keep",
        "recent",
    ),
    (
        "a short TTL for one name does not reach its other name",
        pytorch_image("a", "ci/a:1", "team/a:1"),
        {"rules": Policy(rules=(Rule(match="ci/*", ttl=DAY),)), "usages": (usage(A, last_used=NOW - 2 * DAY),)},
        "keep",
        "recent",
    ),
    ("an untagged one has the ordinary TTL", pytorch_image("a", references=()), {}, "evict", "idle-ttl"),
    ("globs mind the case", pytorch_image("a", "Team/a:Latest"), {}, "evict", "idle-ttl"),
    (
        "a star crosses slashes",
        pytorch_image("a", "r.io:5000/x/y/prod/a:1"),
        {"rules": Policy(exclude=("*/prod/*",))},
        "keep",
        "excluded",
    ),
]


@pytest.mark.parametrize(("what", "asked", "given", "action", "reason"), CASES, ids=[case[0] for case in CASES])
def test_each_image_has_its_reason(what: str, asked: Image, given: dict[str, object], action: str, reason: str) -> None:
    assert verdict(decide(asked, **given), asked) == (action, reason)  # type: ignore[arg-type]


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
    context = Context(holds=Holds(pins=given.get("pins", ())), gap_end=given.get("gap_end"))  # type: ignore[arg-type]
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
    month = Context(absences=(Absence(NOW - 31 * DAY, NOW - DAY),))
    decision = only(decide(A, usages=(usage(A, last_used=NOW - 33 * DAY),), context=month))
    assert (decision.reason.value, decision.idle, decision.last_used) == ("recent", 3 * DAY, NOW - 33 * DAY)


def test_the_explanation_is_a_sentence_with_idle_time_ttl_and_bytes() -> None:
    asked = pytorch_image("a", layers={"sha256:big": 4_800_000_000})
    decision = only(decide(asked, usages=(usage(asked, last_used=NOW - 15 * DAY - 3 * HOUR),)))
    assert decision.explanation == "idle 15 d 3 h, TTL 14 d; frees about 4.8 GB"


HOLDS = [
    ("observe mode", {"rules": Policy(observe=True)}, HeldBy.OBSERVE),
    ("a pause", {"context": Context(holds=Holds(paused=True))}, HeldBy.PAUSED),
    ("a pause that lasts", {"context": Context(holds=Holds(paused=True, paused_until=NOW + DAY))}, HeldBy.PAUSED),
    ("a pause that is over", {"context": Context(holds=Holds(paused=True, paused_until=NOW))}, None),
    ("holds that cannot be read", {"context": Context(holds=Holds(readable=False))}, HeldBy.PAUSED),
    ("a stream that is not proven", {"context": Context(proven=False)}, HeldBy.UNPROVEN),
    ("a clock that jumped", {"context": Context(clock_trusted=False)}, HeldBy.CLOCK),
    ("a refusal before", {"context": Context(backoff={A.id: NOW + HOUR})}, HeldBy.BACKOFF),
    ("a refusal that is over", {"context": Context(backoff={A.id: NOW})}, None),
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
        (Context(holds=Holds(paused=True, paused_until=NOW + DAY)), NOW + DAY),
        (pinned(until=NOW + 2 * DAY), NOW + 2 * DAY),
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
