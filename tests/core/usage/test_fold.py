"""One event and what was found out about it: what becomes of the usage, and what nobody can say any more."""

from datetime import datetime, timedelta

import pytest

from agent.core.model import Image, Snapshot
from agent.core.usage.attribution import IgnoredContainers
from agent.core.usage.continuity import BlindPeriod
from agent.core.usage.events import EngineEvent
from agent.core.usage.fold import NOTHING, Resolved, UsageFold
from agent.core.usage.tracker import UsageTracker
from tests.support.builders import LONG_AGO, NOW, container_of, idle_usage, make_id, pulled_image
from tests.support.times import HOUR

BASE = pulled_image("base", "team/base:1", layers={"sha256:1": 10})
CHILD = pulled_image("child", "team/child:1", layers={"sha256:1": 10, "sha256:2": 10})
LAYERS = ("sha256:1", "sha256:2")


def event(
    action: str, actor: str = "c1", *, kind: str = "container", at: datetime = NOW, name: str = ""
) -> EngineEvent:
    return EngineEvent(int(at.timestamp() * 10**9), kind, action, actor, "team/base:1", name or "box")


def image_event(action: str, actor: str = CHILD.id, *, at: datetime = NOW, name: str = "team/child:1") -> EngineEvent:
    return event(action, actor, kind="image", at=at, name=name)


def listing(*images: Image, at: datetime = NOW) -> Snapshot:
    return Snapshot(at=at, images=images, containers=())


@pytest.fixture
def fold() -> UsageFold:
    """Of an engine with one image, which was watched before."""
    made = UsageFold(IgnoredContainers(("scan*",)))
    made.begin(UsageTracker([idle_usage(BASE)]), 0, watched=True)
    made.reconcile(listing(BASE, at=NOW - HOUR), NOW - HOUR, alive_until=None, first=False)
    return made


# Containers


def test_an_event_whose_image_is_known_is_a_use(fold: UsageFold) -> None:
    assert not fold.apply(event("create"), Resolved(BASE.id), NOW)
    assert (fold.tracker.usages[BASE.id].last_used, fold.missed) == (NOW, None)


def test_what_is_known_of_a_container_counts_before_what_was_found_out(fold: UsageFold) -> None:
    fold.apply(event("create"), Resolved(BASE.id), NOW)
    fold.apply(event("die", at=NOW + HOUR), Resolved(CHILD.id), NOW + HOUR)
    assert (fold.tracker.usages[BASE.id].last_used, list(fold.tracker.usages)) == (NOW + HOUR, [BASE.id])


def test_a_use_of_nobody_knows_what_is_missed_from_the_first_to_the_last(fold: UsageFold) -> None:
    for at in (NOW - HOUR, NOW, NOW - 2 * HOUR):
        fold.apply(event("destroy", at=at), NOTHING, NOW)
    cause = "a use of 'team/base:1' could not be matched to an image"
    assert fold.missed == BlindPeriod(NOW - 2 * HOUR, NOW, cause)


def test_before_the_first_listing_ever_nothing_is_missed() -> None:
    fold = UsageFold()
    fold.apply(event("destroy"), NOTHING, NOW)
    assert fold.missed is None


def test_what_was_written_before_is_not_missed_again(fold: UsageFold) -> None:
    fold.apply(event("create"), Resolved(BASE.id), NOW)
    fold.apply(event("destroy"), Resolved(BASE.id), NOW)
    fold.confirm()
    fold.apply(event("destroy"), NOTHING, NOW)
    assert fold.missed is None


def test_an_image_that_came_without_an_event_is_to_be_listed(fold: UsageFold) -> None:
    assert fold.apply(event("create"), Resolved(CHILD.id), NOW)


def test_a_commit_of_a_container_is_to_be_listed_and_is_not_a_use(fold: UsageFold) -> None:
    assert fold.apply(event("commit"), NOTHING, NOW)
    assert fold.tracker.usages[BASE.id].last_used == LONG_AGO


def test_an_ignored_run_is_counted_once_and_is_not_a_use(fold: UsageFold) -> None:
    start = event("start", name="scanner")
    for _ in range(2):
        fold.apply(start, Resolved(BASE.id), NOW)
    changes = fold.tracker.drain_changes()
    assert ([run.pattern for run in changes.ignored], changes.uses) == (["scan*"], ())


def test_a_name_that_means_another_image_by_the_next_listing_counts_for_both(fold: UsageFold) -> None:
    other = pulled_image("other", "team/base:1")
    fold.tracker.usages[other.id] = idle_usage(other, references=())
    fold.apply(event("destroy"), Resolved(BASE.id, by_name=True), NOW)
    fold.reconcile(listing(BASE, other), NOW, alive_until=None, first=False)
    assert {fold.tracker.usages[item.id].last_used for item in (BASE, other)} == {NOW}


# Images


def test_a_build_is_a_use_of_its_base_at_once(fold: UsageFold) -> None:
    assert fold.may_be_build(image_event("tag"))
    fold.apply(image_event("tag"), Resolved(layers=LAYERS), NOW)
    assert fold.tracker.usages[BASE.id].last_used_by == f"build of {CHILD.id[7:19]}"


@pytest.mark.parametrize("action", ["load", "import"])
def test_a_tag_of_an_imported_image_is_not_a_use_of_its_base(fold: UsageFold, action: str) -> None:
    fold.apply(image_event(action), NOTHING, NOW)
    fold.apply(image_event("tag"), Resolved(layers=LAYERS), NOW)
    assert fold.tracker.usages[BASE.id].last_used == LONG_AGO


def test_a_build_whose_layers_nobody_knows_is_settled_by_the_listing(fold: UsageFold) -> None:
    fold.apply(image_event("tag"), NOTHING, NOW)
    fold.reconcile(listing(BASE, CHILD), NOW, alive_until=None, first=False)
    assert (fold.tracker.usages[BASE.id].last_used, fold.missed) == (NOW, None)


def test_a_build_that_is_gone_and_whose_layers_nobody_knows_is_missed(fold: UsageFold) -> None:
    fold.apply(image_event("tag"), NOTHING, NOW)
    fold.reconcile(listing(BASE), NOW, alive_until=None, first=False)
    assert fold.missed is not None


def test_a_build_before_the_first_listing_of_this_process_needs_it() -> None:
    fold = UsageFold()
    fold.begin(UsageTracker([idle_usage(BASE)]), 0, watched=True)
    fold.apply(image_event("tag"), Resolved(layers=LAYERS), NOW)
    assert fold.needs_listing
    fold.reconcile(listing(BASE, CHILD), NOW, alive_until=None, first=False)
    assert (fold.needs_listing, fold.tracker.usages[BASE.id].last_used) == (False, NOW)


def test_a_removal_of_an_image_that_nobody_saw_is_missed(fold: UsageFold) -> None:
    fold.apply(image_event("delete", make_id("unseen")), NOTHING, NOW)
    assert fold.missed is not None


def test_a_pull_names_the_image_that_it_brought(fold: UsageFold) -> None:
    fold.apply(image_event("pull", "team/child:1"), Resolved(CHILD.id), NOW)
    known = fold.tracker.usages[CHILD.id]
    assert (known.pulled, known.arrived, fold.tracker.names.resolve("team/child:1")) == (True, NOW, CHILD.id)


def test_a_pull_of_nobody_knows_what_is_missed_and_its_reference_is_unknown(fold: UsageFold) -> None:
    fold.apply(image_event("pull", "team/base:1"), NOTHING, NOW)
    assert (fold.missed is not None, fold.tracker.names.resolve("team/base:1")) == (True, None)


def test_an_outdated_pull_changes_nothing(fold: UsageFold) -> None:
    fold.apply(image_event("pull", "team/base:1"), Resolved(outdated=True), NOW)
    assert (fold.missed, fold.tracker.names.resolve("team/base:1")) == (None, BASE.id)


def test_an_untag_that_was_written_before_counts_only_on_top_of_a_listing(fold: UsageFold) -> None:
    untag = image_event("untag", BASE.id, name="team/base:1")
    fold.seen.add(untag)
    fold.confirm()
    fold.apply(untag, NOTHING, NOW)
    before = fold.tracker.names.resolve("team/base:1")
    fold.apply(untag, NOTHING, NOW, again=True)
    assert (before, fold.tracker.names.resolve("team/base:1")) == (BASE.id, None)


def test_the_agents_own_tag_is_not_an_arrival_and_needs_no_listing(fold: UsageFold) -> None:
    fold.own.begin(BASE.id, NOW - timedelta(seconds=1))
    fold.own.expect(BASE.id, "tag", "team/base:1")
    before = fold.tracker.usages[BASE.id]
    assert not fold.apply(image_event("tag", BASE.id, name="team/base:1"), NOTHING, NOW)
    assert fold.tracker.usages[BASE.id] == before


# Listings


@pytest.mark.parametrize(("name", "ignored"), [("scan-1", True), ("trainer", False)])
def test_a_listed_container_is_attributed(fold: UsageFold, name: str, ignored: bool) -> None:
    found = fold.attribute(container_of(BASE, name=name, labels={"user": "alice"}))
    assert (found.by, found.ignored) == (f"{name} (user alice)", ignored)
