"""Usage: what events and listings make of it."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.model import Container, Snapshot, Usage
from agent.core.usage.events import EngineEvent
from agent.core.usage.tracker import Changes, IgnoredRun, TrackedContainer, UsageTracker, Use
from tests.core.builders import HOUR, LONG_AGO, NOW, container, image, usage

A, B = image("a", "team/a:1"), image("b", "team/b:1")
EPOCH_NS = 10**9


def event(action: str, at: datetime = NOW, actor: str = "c1", name: str = "box") -> EngineEvent:
    return EngineEvent(int(at.timestamp() * EPOCH_NS), "container", action, actor, "team/a:1", name)


def tracker(*usages: Usage, held: tuple[TrackedContainer, ...] = ()) -> UsageTracker:
    made = UsageTracker(usages or (usage(A), usage(B)), held)
    made.names.add(A.id, A.references)
    made.names.add(B.id, B.references)
    return made


def listed(
    made: UsageTracker, *images_: object, containers: tuple[object, ...] = (), at: datetime = NOW
) -> tuple[str, ...]:
    snapshot = Snapshot(at=at, images=images_, containers=containers)  # type: ignore[arg-type]
    return made.reconcile(snapshot, at, alive_until=at - HOUR, busy=frozenset())


def test_each_container_event_is_a_use() -> None:
    for action in ("create", "start", "die", "destroy"):
        made = tracker()
        made.apply_container(event(action), A.id, NOW)
        assert made.usages[A.id] == usage(A, last_used=NOW, last_used_by="box")


def test_a_container_goes_from_created_to_running_to_exited_and_away() -> None:
    made, states = tracker(), []
    for action in ("create", "start", "die"):
        made.apply_container(event(action), A.id, NOW)
        states.append(made.containers["c1"].state)
    made.apply_container(event("destroy"), A.id, NOW)
    assert (states, made.containers) == (["created", "running", "exited"], {})


def test_idle_starts_at_the_end_of_use() -> None:
    made = tracker()
    made.apply_container(event("create", NOW - 5 * HOUR), A.id, NOW)
    made.apply_container(event("destroy", NOW), A.id, NOW)
    assert made.usages[A.id].last_used == NOW


def test_a_time_in_the_future_is_now() -> None:
    made = tracker()
    made.apply_container(event("die", NOW + HOUR), A.id, NOW)
    assert made.usages[A.id].last_used == NOW


def test_an_image_never_seen_is_first_seen_by_its_use() -> None:
    made = UsageTracker()
    made.apply_container(event("die"), A.id, NOW)
    assert made.usages[A.id] == Usage(image_id=A.id, first_seen=NOW, last_used=NOW, last_used_by="box", present=False)


def test_what_changed_is_taken_once() -> None:
    made = tracker()
    made.apply_container(event("create"), A.id, NOW)
    assert made.drain_changes() == Changes(
        usages=(usage(A, last_used=NOW, last_used_by="box"),),
        containers=(TrackedContainer("c1", A.id, "box", "created"),),
        uses=(Use(A.id, "c1", "create", NOW, "box"),),
    )
    assert not made.drain_changes()


def test_changes_that_could_not_be_written_go_with_the_next() -> None:
    made = tracker()
    made.apply_container(event("create"), A.id, NOW)
    lost = made.drain_changes()
    made.apply_container(event("destroy", NOW + HOUR), A.id, NOW + HOUR)
    made.requeue_changes(lost)
    again = made.drain_changes()
    assert (again.usages, again.containers, again.removed) == ((made.usages[A.id],), (), ("c1",))
    assert [use.action for use in again.uses] == ["create", "destroy"]


def test_a_tag_makes_the_image_arrive_and_the_loser_change() -> None:
    made = tracker()
    made.apply_tag(B.id, "team/a:1", NOW, NOW, own=False)
    assert made.usages[A.id] == usage(A, references=(), references_changed=NOW)
    assert made.usages[B.id] == usage(B, arrived=NOW, references=("team/a:1", "team/b:1"), references_changed=NOW)
    assert made.names.resolve("team/a:1") == B.id


def test_a_pull_told_late_changes_names_from_when_it_is_learned() -> None:
    made = tracker()
    made.apply_pull(B.id, "team/a:1", LONG_AGO, NOW)  # by now its reference may name another image than then
    assert made.usages[A.id].references_changed == NOW
    assert made.usages[B.id].references_changed == NOW


def test_changes_given_back_are_taken_again_whole() -> None:
    made = tracker()
    made.apply_container(event("create"), A.id, NOW)
    lost = made.drain_changes()
    made.requeue_changes(lost)
    assert made.drain_changes() == lost


def test_the_agents_own_tag_changes_names_alone() -> None:
    made = tracker()
    made.apply_tag(B.id, "team/b:1", NOW, NOW, own=True)
    assert (made.usages[B.id], made.names.resolve("team/b:1")) == (usage(B), B.id)


def test_a_pull_is_an_arrival_that_proves_an_origin() -> None:
    made = tracker()
    made.apply_pull(A.id, "team/a:1", NOW, NOW)
    assert made.usages[A.id] == usage(A, arrived=NOW, pulled=True)


def test_a_deleted_image_is_not_present_and_its_history_stays() -> None:
    made = tracker()
    made.apply_delete(A.id)
    assert made.usages[A.id] == usage(A, present=False, references=())


def test_the_end_of_a_protection_is_its_release() -> None:
    made = tracker()
    made.protect(A.id, True, NOW - HOUR)
    made.protect(A.id, True, NOW - HOUR / 2)
    assert made.usages[A.id] == usage(A, protected=True)
    made.protect(A.id, False, NOW)
    assert made.usages[A.id] == usage(A, released=NOW)


def test_a_listing_tells_the_images_never_seen_before() -> None:
    new = image("new", "team/new:1")
    made = tracker()
    assert listed(made, A, B, new) == (new.id,)
    assert made.usages[new.id] == Usage(image_id=new.id, first_seen=NOW, references=("team/new:1",))


def test_an_image_that_comes_back_untold_arrives_when_it_is_found() -> None:
    made = tracker(usage(A, present=False, references=()))
    assert listed(made, A) == (A.id,)
    assert made.usages[A.id] == usage(A, arrived=NOW)


def test_references_that_changed_untold_changed_when_it_is_found() -> None:
    made = tracker(usage(A, references=("team/a:0",)))
    listed(made, A)
    assert made.usages[A.id] == usage(A, references_changed=NOW)


def test_a_digest_reference_that_repeats_a_tag_is_remembered_and_not_a_change() -> None:
    pushed = replace(A, digests=("team/a@sha256:1",))
    made = tracker()
    listed(made, pushed)
    assert made.usages[A.id] == usage(A, references=("team/a:1", "team/a@sha256:1"))
    listed(made, A)
    assert made.usages[A.id] == usage(A)


def test_a_digest_reference_that_stands_alone_is_a_change_when_it_comes_and_when_it_goes() -> None:
    both = replace(A, digests=("other/a@sha256:1",))
    made = tracker()
    listed(made, both)
    assert made.usages[A.id] == usage(A, references=("other/a@sha256:1", "team/a:1"), references_changed=NOW)
    listed(made, A, at=NOW + HOUR)
    assert made.usages[A.id] == usage(A, references_changed=NOW + HOUR)


def test_a_tag_that_goes_and_leaves_its_digest_reference_is_a_change() -> None:
    made = tracker(usage(A, references=("team/a:1", "team/a@sha256:1")))
    listed(made, replace(A, references=(), digests=("team/a@sha256:1",)))
    assert made.usages[A.id] == usage(A, references=("team/a@sha256:1",), references_changed=NOW)


def test_a_pull_by_digest_names_the_image_and_a_restart_still_knows_it() -> None:
    made = tracker()
    made.apply_pull(B.id, "docker.io/team/c:1@sha256:2", NOW, NOW)
    known = usage(B, references=("team/b:1", "team/c@sha256:2"), references_changed=NOW, arrived=NOW, pulled=True)
    assert made.usages[B.id] == known
    assert UsageTracker([known]).names.resolve("team/c:1@sha256:2") == B.id


def test_an_ignored_run_is_counted_once_at_its_start() -> None:
    made, starts = tracker(), event("start")
    for one in (event("create"), starts, starts, event("die"), event("destroy")):
        made.count_ignored(one, A.id, "trivy*", NOW)
    assert made.drain_changes() == Changes(ignored=(IgnoredRun(A.id, "trivy*", NOW, starts.key),))
    assert not made.drain_changes()


def test_an_ignored_run_waits_for_a_cursor_and_comes_back_where_it_could_not_be_written() -> None:
    made, counted = tracker(), IgnoredRun(A.id, "trivy*", NOW, event("start", NOW + HOUR).key)
    made.count_ignored(event("start", NOW + HOUR), A.id, "trivy*", NOW)  # a time in the future is now
    assert not made.drain_changes(ignored_runs=False)
    lost = made.drain_changes()
    made.requeue_changes(lost)
    assert (lost, made.drain_changes()) == (Changes(ignored=(counted,)), lost)


def test_references_that_the_agent_itself_is_taking_change_nothing() -> None:
    made = tracker(usage(A, references=("team/a:1", "team/a:2")))
    made.reconcile(Snapshot(at=NOW, images=(A,)), NOW, alive_until=NOW, busy=frozenset([A.id]))
    assert made.usages[A.id] == usage(A, references=("team/a:1", "team/a:2"))


def test_an_unknown_stopped_container_was_used_until_it_stopped() -> None:
    made = tracker()
    listed(made, A, B, containers=(container(A, "box", last_active=NOW - HOUR),))
    assert made.usages[A.id] == usage(A, last_used=NOW - HOUR, last_used_by="box")


def test_an_unknown_running_container_is_used_now() -> None:
    made = tracker()
    listed(made, A, B, containers=(container(A, "box", "running"),))
    assert made.usages[A.id].last_used == NOW


def test_a_container_that_ran_and_vanished_was_used_while_the_agent_watched() -> None:
    made = tracker(held=(TrackedContainer("c1", A.id, "box", "running"),))
    listed(made, A, B)
    assert (made.usages[A.id].last_used, made.containers) == (NOW - HOUR, {})


def test_a_stopped_container_that_vanished_tells_no_use() -> None:
    made = tracker(held=(TrackedContainer("c1", A.id, "box", "exited"),))
    listed(made, A, B)
    assert (made.usages[A.id].last_used, made.containers) == (LONG_AGO, {})


# Images mounted in containers

C = image("c", "team/c:1")
NAMELESS = replace(image("n"), references=())


def mounting(*names: str) -> Container:
    return replace(container(A, image_mounts=names), id="c1")


def test_a_mounted_image_is_known_from_the_making_on_and_each_event_is_a_use_of_it() -> None:
    made, facts = tracker(), []
    for hour, action in enumerate(("create", "start", "die")):
        made.apply_container(event(action, NOW - (9 - hour) * HOUR), A.id, NOW, mounted=(B.id,) if hour == 0 else None)
        facts.append((made.containers["c1"].image_ids, made.usages[B.id].last_used))
    assert facts == [((A.id, B.id), NOW - hours * HOUR) for hours in (9, 8, 7)]
    made.apply_container(event("destroy"), A.id, NOW)
    assert (made.usages[B.id], made.containers) == (usage(B, last_used=NOW, last_used_by="box"), {})


def test_what_is_mounted_stays_the_same_whatever_becomes_of_the_name() -> None:
    made = tracker()
    made.apply_container(event("create"), A.id, NOW, mounted=(B.id,))
    listed(made, A, replace(B, references=()), replace(C, references=("team/b:1",)), containers=(mounting("team/b:1"),))
    assert made.containers["c1"].mounted == (B.id,)


@pytest.mark.parametrize("name", [B.id, B.id[7:19], f"team/b@{B.id}"])
def test_an_id_or_a_digest_means_one_image_for_ever(name: str) -> None:
    made = tracker()
    listed(made, A, replace(B, digests=(f"team/b@{B.id}",)), NAMELESS, containers=(mounting(name),))
    assert made.containers["c1"].mounted == (B.id,)


def test_by_a_name_every_image_may_be_mounted_that_has_it_or_had_it_or_has_none() -> None:
    made = tracker()
    lost, won = replace(B, references=("team/other:1",)), replace(C, references=("team/b:1",))
    listed(made, A, lost, won, NAMELESS, containers=(mounting("team/b:1"),))
    assert made.containers["c1"].mounted == tuple(sorted([B.id, C.id, NAMELESS.id]))
    listed(made, A, lost, containers=(mounting("team/b:1"),), at=NOW + HOUR)
    assert made.containers["c1"].mounted == tuple(sorted([B.id, C.id, NAMELESS.id]))


def test_a_container_without_a_mounted_image_holds_its_own_alone() -> None:
    made = tracker()
    listed(made, A, B, NAMELESS, containers=(mounting(),))
    assert made.containers["c1"].image_ids == (A.id,)


def test_a_running_container_that_vanished_used_what_was_mounted_in_it() -> None:
    made = tracker(held=(TrackedContainer("c1", A.id, "box", "running", (B.id,)),))
    listed(made, A, B)
    assert made.usages[B.id].last_used == NOW - HOUR


EVENTS = st.lists(
    st.builds(
        event,
        st.sampled_from(["create", "start", "die"]),
        st.integers(-1000, 10).map(lambda seconds: NOW + timedelta(seconds=seconds)),
        st.sampled_from(["c1", "c2"]),
    ),
    max_size=8,
)


@given(EVENTS, st.randoms())
def test_duplicates_and_disorder_do_not_change_the_last_use(events: list[EngineEvent], random: object) -> None:
    straight, mixed = tracker(), tracker()
    doubled = [*events, *events]
    random.shuffle(doubled)  # type: ignore[attr-defined]
    for one in events:
        straight.apply_container(one, A.id, NOW)
    for one in doubled:
        mixed.apply_container(one, A.id, NOW)
    assert mixed.usages[A.id].last_used == straight.usages[A.id].last_used


def test_replace_is_a_fresh_start_for_names_only() -> None:
    made = tracker()
    listed(made, replace(A, references=("x/a:2",)))
    assert (made.names.resolve("team/a:1"), made.names.resolve("x/a:2")) == (None, A.id)


def test_a_running_container_was_used_when_the_listing_began() -> None:
    made = tracker()
    snapshot = Snapshot(at=NOW - HOUR / 2, images=(A, B), containers=(container(A, "box", "running"),))
    made.reconcile(snapshot, NOW, alive_until=NOW, busy=frozenset())
    assert made.usages[A.id].last_used == NOW - HOUR / 2


def test_names_that_are_not_trusted_any_more_mean_nothing_and_ids_do() -> None:
    made = tracker()
    made.names.invalidate()
    assert (made.names.resolve("team/a:1"), made.names.resolve(A.id)) == (None, A.id)
