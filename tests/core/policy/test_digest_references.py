"""Digest references: they count for whatever keeps, and do not make a rule for a tag useless."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given

from agent.cli import documents
from agent.core.model import Image, Snapshot
from agent.core.policy import planning, rules
from agent.core.policy.decide import Context
from agent.core.policy.overrides import Overrides, Pin
from agent.core.policy.settings import Policy, Rule
from agent.core.protocol import new_events
from agent.core.pytorch import classify
from tests.core.builders import (
    DAY,
    LONG_AGO,
    NOW,
    decide,
    evicted,
    image,
    image_id,
    only,
    pytorch_image,
    usage,
    verdict,
)
from tests.properties.strategies import GeneratedHost, generated_hosts, policies

HEX = "0123456789abcdef" * 4
PINNED_BY_DIGEST = f"registry/prod/model@sha256:{HEX}"
BY_DIGEST = pytorch_image("a", references=(), digests=(PINNED_BY_DIGEST,))
TAGGED = pytorch_image("a", "team/a:1", digests=("team/a@sha256:1",))  # as after a pull, and always on containerd
TWO = pytorch_image("a", "team/a:1", digests=("registry/a@sha256:1", "team/a@sha256:1"))
WEEK = 7 * DAY


def rule(match: str, **changes: object) -> Policy:
    return Policy(rules=(Rule(match=match, **changes),))  # type: ignore[arg-type]


def pin(of: Image, reference: str) -> Context:
    return Context(overrides=Overrides(pins=(Pin(id=of.id, reference=reference, at=LONG_AGO),)))


KEPT = [
    ("exclude", Policy(exclude=("*/prod/*",)), "excluded"),
    ("exclude with any tag", Policy(exclude=("*/prod/*:*",)), "excluded"),
    ("exclude by digest", Policy(exclude=(f"*@sha256:{HEX}",)), "excluded"),
    ("include of something else", Policy(include=("team/*",)), "excluded"),
    ("protect", Policy(protect=("registry/prod/model:*",)), "protected-tag"),
    ("protect by digest", Policy(protect=("*/prod/model@sha256:0123*",)), "protected-tag"),
    ("a rule's keep", rule("*/prod/*", keep=True), "rule-keep"),
    ("a rule's longer TTL", rule("*/prod/*", ttl=200 * DAY), "recent"),
    ("a rule's longer TTL by digest", rule("*@sha256:0123*", ttl=200 * DAY), "recent"),
]


@pytest.mark.parametrize(("what", "settings", "reason"), KEPT, ids=[case[0] for case in KEPT])
def test_an_image_without_a_tag_is_kept_by_its_digest_reference(what: str, settings: Policy, reason: str) -> None:
    assert verdict(decide(BY_DIGEST, rules=settings), BY_DIGEST) == ("keep", reason)


GOES = [
    ("nothing", Policy()),
    ("a pattern with a tag", Policy(exclude=("*/prod/model:2.9*",), protect=("*/prod/model:latest",))),
    ("a pattern for another digest", Policy(exclude=("*@sha256:ffff*",))),
    ("include of it", Policy(include=("*/prod/*",))),
]


@pytest.mark.parametrize(("what", "settings"), GOES, ids=[case[0] for case in GOES])
def test_an_image_without_a_tag_goes_where_nothing_matches_its_digest_reference(what: str, settings: Policy) -> None:
    assert verdict(decide(BY_DIGEST, rules=settings), BY_DIGEST) == ("evict", "idle-ttl")


def test_a_rule_shortens_the_ttl_of_an_image_without_a_tag() -> None:
    known = usage(BY_DIGEST, last_used=NOW - 2 * DAY)
    plan = decide(BY_DIGEST, usages=(known,), rules=rule("*/prod/*", ttl=DAY))
    assert verdict(plan, BY_DIGEST) == ("evict", "idle-ttl")


def test_include_lifts_an_ambiguous_image_by_its_digest_reference() -> None:
    maybe = image("m", references=(), digests=("team/torchlike@sha256:1",))
    assert verdict(decide(maybe), maybe) == ("keep", "ambiguous")
    assert verdict(decide(maybe, rules=Policy(include=("team/*",))), maybe) == ("evict", "idle-ttl")
    assert verdict(decide(maybe, rules=Policy(include=("other/*",))), maybe) == ("keep", "ambiguous")


# Beside a tag

TTLS = [
    ("a shorter one for the tag", "team/a:1", DAY, DAY),
    ("a shorter one for the repository", "team/*", DAY, DAY),
    ("a shorter one for the digest alone", "team/a@sha256:*", DAY, 14 * DAY),
    ("a longer one for the digest", "team/a@sha256:*", 30 * DAY, 30 * DAY),
    ("one for something else", "other/*", DAY, 14 * DAY),
]


@pytest.mark.parametrize(("what", "match", "length", "expected"), TTLS, ids=[case[0] for case in TTLS])
def test_a_digest_reference_that_repeats_a_tag_can_only_lengthen_the_ttl(
    what: str, match: str, length: timedelta, expected: timedelta
) -> None:
    assert rules.ttl(TAGGED, rule(match, ttl=length)) == expected


def test_a_digest_reference_of_another_repository_has_a_ttl_of_its_own() -> None:
    assert rules.ttl(TWO, rule("team/*", ttl=DAY)) == 14 * DAY
    both = Policy(rules=(Rule(match="team/*", ttl=DAY), Rule(match="registry/*", ttl=WEEK)))
    assert rules.ttl(TWO, both) == WEEK


def test_the_source_of_a_ttl_names_the_rule_and_the_reference() -> None:
    assert rules.ttl_source(TAGGED, rule("team/a:1", ttl=DAY)) == "the rule for team/a:1, which matches team/a:1"
    named = rules.ttl_source(BY_DIGEST, rule("*/prod/*", ttl=30 * DAY))
    assert named == f"the rule for */prod/*, which matches {PINNED_BY_DIGEST}"
    assert rules.ttl_source(TAGGED, rule("team/a@sha256:*", ttl=DAY)) == "policy.ttl"


INCLUDED = [
    ("the tag", TAGGED, ("team/a:1",), True),
    ("the digest reference alone", TAGGED, ("team/a@sha256:*",), False),
    ("the tag, and not another repository's digest reference", TWO, ("team/*",), False),
    ("both", TWO, ("team/*", "registry/*"), True),
]


@pytest.mark.parametrize(("what", "of", "include", "goes"), INCLUDED, ids=[case[0] for case in INCLUDED])
def test_include_is_not_asked_of_a_digest_reference_that_repeats_a_tag(
    what: str, of: Image, include: tuple[str, ...], goes: bool
) -> None:
    assert evicted(decide(of, rules=Policy(include=include))) == ({of.id} if goes else set())


LOCAL = [
    ("a rule for the tag", TAGGED, (Rule(match="team/a:1", evict_local=True),), False, True),
    ("a rule for the digest alone", TAGGED, (Rule(match="team/a@sha256:*", evict_local=True),), False, False),
    ("a rule for the tag only", TWO, (Rule(match="team/*", evict_local=True),), False, False),
    ("rules for both", TWO, (Rule(match="*/a:*", evict_local=True),), False, True),
    ("the digest is to stay", TAGGED, (Rule(match="team/a@sha256:*", evict_local=False),), True, False),
    ("the settings", TAGGED, (), True, True),
    ("nothing", TAGGED, (), False, False),
    ("a rule, without a tag", BY_DIGEST, (Rule(match="*/prod/*", evict_local=True),), False, True),
    ("the settings, without a name", pytorch_image("a", references=()), (), True, True),
]


@pytest.mark.parametrize(("what", "of", "said", "by_policy", "goes"), LOCAL, ids=[case[0] for case in LOCAL])
def test_a_local_image_goes_where_each_reference_that_is_asked_may_go(
    what: str, of: Image, said: tuple[Rule, ...], by_policy: bool, goes: bool
) -> None:
    assert rules.evicts_local(of, Policy(rules=said, evict_local=by_policy)) is goes


KEEPING = [
    (Policy(exclude=("team/a@sha256:*",)), "excluded", "team/a@sha256:1 matches images.exclude"),
    (Policy(exclude=("team/a:1",)), "excluded", "team/a:1 matches images.exclude"),
    (Policy(include=("team/a:2*",)), "excluded", "team/a:1 does not match images.include"),
    (Policy(protect=("team/a@sha256:*",)), "protected-tag", "team/a@sha256:1 matches policy.protect"),
    (rule("*@*", keep=True), "rule-keep", "team/a@sha256:1 matches the rule for *@*, which keeps it"),
]


@pytest.mark.parametrize(("settings", "reason", "why"), KEEPING)
def test_what_keeps_is_asked_of_every_reference_and_names_it(settings: Policy, reason: str, why: str) -> None:
    decision = only(decide(TAGGED, rules=settings))
    assert (decision.reason, decision.explanation) == (reason, f"kept: {why}")


def test_without_a_reference_include_says_so() -> None:
    nameless = pytorch_image("a", references=())
    decision = only(decide(nameless, rules=Policy(include=("*",))))
    assert decision.explanation == "kept: it has no reference that images.include could match"


# Pins, and the recheck


def test_a_pin_by_digest_keeps_whatever_has_the_digest_reference_now() -> None:
    other = image_id("as another image store names it")
    context = pin(replace(BY_DIGEST, id=other), PINNED_BY_DIGEST)
    assert verdict(decide(BY_DIGEST, context=context), BY_DIGEST) == ("keep", "pinned")
    elsewhere = pin(replace(BY_DIGEST, id=other), f"registry/other/model@sha256:{HEX}")
    assert verdict(decide(BY_DIGEST, context=elsewhere), BY_DIGEST) == ("evict", "idle-ttl")


def test_an_eviction_does_not_stand_where_a_digest_reference_came_or_went_since() -> None:
    planned = only(decide(TAGGED))
    for digests in ((), ("other/a@sha256:1", "team/a@sha256:1")):
        assert not planning.passes_recheck(planned, decide(replace(TAGGED, digests=digests)))
    assert planning.passes_recheck(planned, decide(TAGGED))


@given(generated_hosts(), policies())
def test_a_digest_reference_that_repeats_a_tag_never_evicts_more(world: GeneratedHost, settings: Policy) -> None:
    repeated = [replace(one, digests=(*one.digests, *_repeating(one))) for one in world.images]
    usages = {item.image_id: item for item in world.usages}
    plan = planning.plan(
        Snapshot(at=NOW, images=tuple(repeated), containers=world.containers),
        classify.classify(repeated),
        usages,
        settings,
        NOW,
        Context(),
    )
    assert evicted(plan) <= evicted(world.plan(settings))


def _repeating(of: Image) -> set[str]:
    return {f"{reference.rpartition(':')[0]}@sha256:{HEX}" for reference in of.references}


@pytest.mark.parametrize(
    ("of", "shown"),
    [(BY_DIGEST, [PINNED_BY_DIGEST]), (TAGGED, ["team/a:1"]), (TWO, ["team/a:1", "registry/a@sha256:1"])],
    ids=["no tag", "a digest of the tag's repository", "a digest of another repository"],
)
def test_programs_get_the_tags_and_the_digest_references_that_repeat_none(of: Image, shown: list[str]) -> None:
    plan = decide(of)
    assert sorted(documents.plan(plan, "gpu-07", ())["images"][0]["references"]) == sorted(shown)
    assert sorted(new_events.image_ref(only(plan)).references) == sorted(shown)
    assert sorted(new_events.inventory_image(only(plan)).references) == sorted(shown)
