"""Worlds, policies and disks for properties."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from hypothesis import strategies as st

from agent.core.model import Container, Image, Usage
from agent.core.policy.decide import Context
from agent.core.policy.decision import Plan
from agent.core.policy.disk import DiskUsage
from agent.core.policy.settings import Policy, Pressure, Rule
from tests.support.builders import NOW, container_of, decide, make_disk, make_id, pulled_image, pytorch_image

TIMES = st.integers(-200, 0).map(lambda days: NOW + timedelta(days=days))
TTLS = st.integers(1, 60).map(lambda days: timedelta(days=days))
NAMES = st.sampled_from(
    ["team/a:1", "team/a:2.0", "team/a:latest", "ci/a:2", "ci/a:main", "x/prod/a:3", "r.io:5000/a:4"]
)
DIGESTS = st.sampled_from(["team/a@sha256:1", "ci/a@sha256:1", "x/prod/a@sha256:1"])
GLOBS = st.sampled_from(["team/*", "ci/*", "*:latest", "*/prod/*", "team/*@sha256:*", "ci/a:*", "none"])
MOST = 6  # images


@dataclass(frozen=True, slots=True)
class GeneratedHost:
    """All facts of one moment but the disk."""

    images: tuple[Image, ...]
    usages: tuple[Usage, ...]
    containers: tuple[Container, ...]

    def plan(self, rules: Policy, context: Context | None = None) -> Plan:
        return decide(
            *self.images, usages=self.usages, containers=self.containers, rules=rules, context=context or Context()
        )

    def without(self, gone: str) -> "GeneratedHost":
        """The same once an image is gone. What is known of its use stays known."""
        return replace(self, images=tuple(item for item in self.images if item.id != gone))

    @property
    def children(self) -> Mapping[str, set[str]]:
        parents = {item.id: item.details.parent for item in self.images if item.details is not None}
        return {one: {child for child, parent in parents.items() if parent == one} for one in parents}


@st.composite
def images(draw: st.DrawFn, number: int, families: bool) -> Image:
    make = draw(st.sampled_from([pytorch_image] * 5 + [pulled_image]))
    below = [make_id(f"i{other}") for other in range(number)] if families else []
    labels = draw(st.sampled_from([{}, {}, {}, {}, {"torchkeeper.keep": "true"}, {"torchkeeper.ttl": "30d"}]))
    made: Image = make(
        f"i{number}",
        references=tuple(draw(st.lists(NAMES, max_size=2, unique=True))),
        digests=tuple(draw(st.lists(DIGESTS, max_size=1))),
        parent=draw(st.sampled_from(["", *below[-2:]])),
        labels=labels,
        committed=draw(st.sampled_from([False, False, False, True])),
        origin=draw(st.sampled_from([None, "a@sha256:1", "a@sha256:1"])),
        layers={"sha256:base": 50, f"sha256:l{number}": draw(st.integers(1, 100))},
    )
    return made


@st.composite
def generated_hosts(draw: st.DrawFn, *, families: bool = True) -> GeneratedHost:
    known = tuple(draw(images(number, families)) for number in range(draw(st.integers(2, MOST))))
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
    return GeneratedHost(known, usages, tuple(container_of(item) for item in held))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Without pressure."""
    return Policy(
        ttl=draw(TTLS),
        include=tuple(draw(st.sampled_from([(), (), (), ("team/*", "ci/*")]))),
        exclude=tuple(draw(st.lists(GLOBS, max_size=1))),
        protect=tuple(draw(st.lists(GLOBS, max_size=1))),
        keep_newest=draw(st.sampled_from([0, 0, 1, 2])),
        rules=tuple(Rule(match=glob, ttl=draw(TTLS)) for glob in draw(st.lists(GLOBS, max_size=2))),
        evict_local=draw(st.booleans()),
        dangling_after=draw(st.none() | TTLS),
    )


@st.composite
def crowds(draw: st.DrawFn, *, families: bool = True) -> GeneratedHost:
    """Worlds in which most images wait for their TTL, or are due: under pressure many may go."""
    count = draw(st.integers(4, MOST))
    known = tuple(
        pytorch_image(
            f"i{number}",
            references=draw(st.sampled_from([("team/a:1",), ("x/a:1",), ("ci/a:main",), ("team/a:latest",), ()])),
            parent=draw(st.sampled_from(["", "", make_id(f"i{number - 1}")])) if families and number else "",
            origin=draw(st.sampled_from([None, *["a@sha256:1"] * 4])),
            layers={"sha256:base": 50, f"sha256:l{number}": draw(st.integers(20, 120))},
        )
        for number in range(count)
    )
    ages = draw(st.lists(st.integers(1, 35), min_size=count, max_size=count))
    usages = tuple(
        Usage(image_id=item.id, first_seen=NOW - timedelta(days=100), last_used=NOW - timedelta(days=age))
        for item, age in zip(known, ages, strict=True)
    )
    return GeneratedHost(known, usages, ())


CROWD_RULES = st.builds(
    Policy,
    ttl=st.just(timedelta(days=30)),
    rules=st.sampled_from([(), (Rule(match="ci/*", ttl=timedelta(days=9)),)]),
    dangling_after=st.sampled_from([None, timedelta(days=20)]),
)
PRESSURES = st.sampled_from([Pressure(high=0.85, low=0.75), Pressure(high=0.8, low=0.6), Pressure(high=0.7, low=0.69)])
DISKS: st.SearchStrategy[DiskUsage] = st.integers(600, 950).map(make_disk)
CONTEXTS = st.builds(Context, disk=DISKS, under_pressure=st.booleans())


def pressed(rules: st.SearchStrategy[Policy]) -> st.SearchStrategy[Policy]:
    """Policies under shares of a disk, or a budget."""
    budgets = st.builds(Pressure, budget=st.integers(1, 300))
    return st.builds(lambda policy, pressure: replace(policy, pressure=pressure), rules, PRESSURES | budgets)
