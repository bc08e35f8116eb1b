"""Policy: each reason, in its order, and its boundaries."""

from datetime import timedelta

import pytest

from agent.core.model import Image, Usage
from agent.core.policy.decide import Context
from agent.core.policy.grace import PendingPolicy
from agent.core.policy.overrides import Overrides, Pin
from agent.core.policy.settings import Policy, Pressure, Rule
from tests.core.builders import (
    DAY,
    HOUR,
    LONG_AGO,
    NOW,
    container,
    decide,
    disk,
    image,
    image_id,
    pytorch_image,
    usage,
    verdict,
)

A = pytorch_image("a")
LOCAL = pytorch_image("a", origin=None)
SECOND = timedelta(seconds=1)


def pinned(**changes: object) -> Context:
    fields: dict[str, object] = {"id": A.id, "reference": "", "at": LONG_AGO, **changes}
    return Context(overrides=Overrides(pins=(Pin(**fields),)))  # type: ignore[arg-type]


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
    ("one whose pin ends now", A, {"context": pinned(until=NOW)}, "keep", "recent"),
    ("one labelled keep", pytorch_image("a", labels={"torchkeeper.keep": "true"}), {}, "keep", "label-keep"),
    (
        "one labelled keep with an odd word",
        pytorch_image("a", labels={"torchkeeper.keep": "jup"}),
        {},
        "keep",
        "label-keep",
    ),
    (
        "one labelled keep without a value",
        pytorch_image("a", labels={"torchkeeper.keep": ""}),
        {},
        "keep",
        "label-keep",
    ),
    ("one labelled keep with a space", pytorch_image("a", labels={"torchkeeper.keep": " "}), {}, "keep", "label-keep"),
    ("one labelled not to keep", pytorch_image("a", labels={"torchkeeper.keep": "false"}), {}, "evict", "idle-ttl"),
    (
        "one labelled not to keep, loudly",
        pytorch_image("a", labels={"torchkeeper.keep": " No "}),
        {},
        "evict",
        "idle-ttl",
    ),
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
    ("one released just its TTL ago", A, {"usages": (usage(A, released=NOW - 14 * DAY),)}, "evict", "idle-ttl"),
    (
        "one released a moment less than its TTL ago",
        A,
        {"usages": (usage(A, released=NOW - 14 * DAY + SECOND),)},
        "keep",
        "recent",
    ),
    (
        "one released in the future was released now",
        A,
        {"usages": (usage(A, released=NOW + DAY),)},
        "keep",
        "recent",
    ),
    (
        "one that was released before it was used",
        A,
        {"usages": (usage(A, released=NOW - 90 * DAY, last_used=NOW - 14 * DAY),)},
        "evict",
        "idle-ttl",
    ),
    (
        "one that is protected still",
        pytorch_image("a", "team/a:latest"),
        {"usages": (usage(A, protected=True),)},
        "keep",
        "protected-tag",
    ),
    (
        "the newest of its line",
        pytorch_image("a", "team/a:2.9"),
        {"rules": Policy(keep_newest=1)},
        "keep",
        "keep-newest",
    ),
    (
        "one whose tag tells no version, as the only one of its repository",
        pytorch_image("a", "team/a:main"),
        {"rules": Policy(keep_newest=1)},
        "keep",
        "keep-newest",
    ),
    (
        "a local one without a name, for long enough",
        pytorch_image("a", references=(), origin=None),
        {"rules": Policy(dangling_after=DAY)},
        "evict",
        "dangling",
    ),
    (
        "one that only a new policy evicts",
        A,
        {"context": Context(pending_policy=PendingPolicy(before=Policy(ttl=365 * DAY), until=NOW + HOUR))},
        "keep",
        "recent",
    ),
    (
        "one that waits for its TTL on a full disk",
        A,
        {
            "rules": Policy(pressure=Pressure(high=0.85, low=0.75)),
            "context": Context(disk=disk(900)),
            "usages": (usage(A, last_used=NOW - DAY),),
        },
        "evict",
        "disk-pressure",
    ),
    (
        "one that waits for its TTL within the budget",
        A,
        {"rules": Policy(pressure=Pressure(budget=1000)), "usages": (usage(A, last_used=NOW - DAY),)},
        "keep",
        "recent",
    ),
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
