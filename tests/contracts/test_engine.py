"""One contract for the engine in memory and each kind of real one, so that the fake behaves as the real ones do."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import pytest

from agent.adapters.engine import Conflict, EngineUnavailable, MadeFrom, NotFound, Removed
from agent.core.images.layers import chain_ids
from agent.core.model import Container, Image
from agent.core.usage.events import EngineEvent
from tests.contracts.engine_subjects import FakeSubject, RealSubject, Subject
from tests.support import builders, engines, proc

WHO = {
    "fake": ("20.10.24", "1.41", False),
    "20.10": ("20.10.24", "1.41", False),
    "26.1-containerd": ("26.1.5", "1.45", True),
}
RUN = ["create", "start", "die", "destroy"]


def make_subject(kind: str, request: pytest.FixtureRequest) -> Subject:
    if kind == "fake":
        return FakeSubject()
    daemon = request.getfixturevalue("pool_of_engines").get(kind)
    daemon.empty()
    return RealSubject(daemon, containerd=kind.endswith("-containerd"))


@pytest.fixture(params=["fake", *(pytest.param(kind, marks=pytest.mark.real) for kind in engines.CONTRACT)])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def subject(kind: str, request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    made = make_subject(kind, request)
    await made.engine.connect()
    yield made
    await made.engine.close()


async def events_of(subject: Subject, act: Callable[[], object], last: str, since_ns: int = 0) -> list[EngineEvent]:
    """The events that an act raises, up to the first of the action `last`."""
    found = []
    async with subject.engine.events(since_ns or subject.now_ns()) as stream, asyncio.timeout(proc.PATIENCE):
        if isinstance(subject, RealSubject):
            await asyncio.sleep(0.1)  # the engine answers before it has subscribed
            await asyncio.to_thread(act)
        else:
            act()
        async for event in stream:
            found.append(event)
            if event.action == last:
                break
    return found


def identity_of(kind: str, subject: Subject) -> tuple[str, str, bool]:
    """Version, API version, whether it is the containerd store. The current engine is another one every few months."""
    if not isinstance(subject, RealSubject) or kind in WHO:
        return WHO[kind]
    answer = subject.real.api("GET", "/version")[1]
    major, minor = map(int, answer["ApiVersion"].split("."))
    return answer["Version"].partition("+")[0], f"{major}.{min(minor, 51)}", subject.containerd


def names_of(subject: Subject, image_id: str, *references: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What an image that was never pushed is called: the containerd store has a digest for it in each repository."""
    repositories = {reference.rpartition(":")[0] for reference in references} if subject.containerd else set()
    return tuple(sorted(references)), tuple(sorted(f"{repository}@{image_id}" for repository in repositories))


def time_of(time_ns: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_ns // 1000)


async def listed(subject: Subject) -> dict[str, Image]:
    return {image.id: image for image in await subject.engine.images({})}


async def stopped(subject: Subject) -> list[Container]:
    return [container for container in await subject.engine.containers({}) if container.state == "exited"]


# Who and whether


async def test_it_reports_who_it_is(subject: Subject, kind: str) -> None:
    info = await subject.engine.connect()
    assert (info.version.partition("+")[0], info.api_version, info.containerd_store) == identity_of(kind, subject)
    assert "" not in (info.id, info.name, info.driver)
    await subject.engine.ping()


async def test_an_engine_that_is_not_there_is_unavailable(subject: Subject) -> None:
    with pytest.raises(EngineUnavailable):
        await subject.nowhere().connect()


async def test_without_a_connection_it_is_unavailable(subject: Subject) -> None:
    await subject.engine.close()
    with pytest.raises(EngineUnavailable):
        await subject.engine.images({})


# Events


async def test_a_run_is_reported_live(subject: Subject) -> None:
    subject.add("team/base:1")
    events = await events_of(subject, lambda: subject.run("team/base:1", rm=True), "destroy")
    assert [(event.kind, event.action, event.image) for event in events] == [
        ("container", action, "team/base:1") for action in RUN
    ]
    assert len({(event.actor, event.name) for event in events}) == 1


async def test_earlier_events_are_replayed_from_a_time_on(subject: Subject) -> None:
    subject.add("team/base:1")
    before = subject.now_ns()  # others' containers may have come and gone on this engine
    subject.run("team/base:1", rm=True)
    first = (await events_of(subject, lambda: None, "destroy", since_ns=before))[-4]
    again = await events_of(subject, lambda: None, "destroy", since_ns=first.time_ns)
    assert [event.action for event in again] == RUN
    later = await events_of(subject, lambda: None, "destroy", since_ns=first.time_ns + 1)
    assert [event.action for event in later] == RUN[1:]


async def test_an_exec_is_never_reported(subject: Subject) -> None:
    subject.add("team/base:1")
    events = await events_of(subject, lambda: subject.execute_in("team/base:1"), "destroy")
    assert [event.action for event in events if event.action not in (*RUN, "kill")] == []
    assert "create" in [event.action for event in events]


async def test_the_ring_has_all_rows_and_those_that_are_read(subject: Subject) -> None:
    before = await subject.engine.ring()
    subject.add("team/base:1")
    subject.execute_in("team/base:1")
    after = await subject.engine.ring()
    read = [event.action for event in after.events]
    assert read[-4:] == RUN
    assert after.size > len(after.events) or before.size >= 256
    assert after.oldest_ns <= after.events[0].time_ns


async def test_a_tag_that_moves_is_reported_for_its_new_image_only(subject: Subject) -> None:
    old, new = subject.add("team/base:1"), subject.add("team/base:2")
    [event] = await events_of(subject, lambda: subject.tag(new, "team/base:1"), "tag")
    assert (event.kind, event.action, event.actor, event.name) == ("image", "tag", new, "team/base:1")
    assert [(await listed(subject))[image_id].references for image_id in (old, new)] == [
        (),
        ("team/base:1", "team/base:2"),
    ]


async def test_a_deletion_is_reported_by_id(subject: Subject) -> None:
    image_id = subject.add("team/base:1")
    async with subject.engine.events(subject.now_ns()) as stream, asyncio.timeout(proc.PATIENCE):
        await subject.engine.delete(image_id)
        found = [await anext(stream), await anext(stream)]
    assert [(event.action, event.actor) for event in found] == [("untag", image_id), ("delete", image_id)]


# Containers


async def test_a_container_is_known_by_its_image_after_the_tag_moved(subject: Subject) -> None:
    old, new = subject.add("team/base:1"), subject.add("team/base:2")
    cid = subject.create("team/base:1", "box")
    subject.tag(new, "team/base:1")
    assert await subject.engine.made_from(cid) == MadeFrom(old)
    [found] = await subject.engine.containers({})
    assert (found.id, found.image_id, found.name, found.state) == (cid, old, "box", "created")


async def test_a_stopped_container_was_active_until_its_end(subject: Subject) -> None:
    subject.add("team/base:1")
    began = time_of(subject.now_ns())
    subject.run("team/base:1", rm=False)
    [found] = await proc.eventually_async(lambda: stopped(subject))  # 26.1 may list it as running a moment longer
    assert found.last_active is not None
    assert began <= found.last_active <= time_of(subject.now_ns())
    known = Container(
        id=found.id, image_id=found.image_id, state="exited", last_active=datetime(2020, 1, 1, tzinfo=UTC)
    )
    assert [again.last_active for again in await subject.engine.containers({found.id: known})] == [known.last_active]


async def test_a_container_that_is_gone_is_not_found(subject: Subject) -> None:
    with pytest.raises(NotFound):
        await subject.engine.made_from("f" * 64)


# Images


async def test_an_image_has_what_inspect_reports(subject: Subject) -> None:
    image_id = subject.add("team/torch:2", "team/torch:1", env={"PYTORCH_VERSION": "2.9.0"})
    found = (await listed(subject))[image_id]
    assert (found.references, found.digests) == names_of(subject, image_id, "team/torch:1", "team/torch:2")
    assert found.origin is None
    assert found.details is not None
    assert found.details.env["PYTORCH_VERSION"] == "2.9.0"
    assert (len(found.details.layers), found.details.parent) == (1, "")
    assert sum(step.size_bytes for step in found.details.history) > 0


async def test_an_image_of_the_containerd_store_reports_its_compressed_bytes_if_the_engine_does(
    subject: Subject, kind: str
) -> None:
    image_id = subject.add("team/base:1")
    details = (await listed(subject))[image_id].details
    assert details is not None
    if kind == "current-containerd":
        assert details.packed_bytes is not None
        assert details.packed_bytes > 100_000
    else:
        assert details.packed_bytes == (None if subject.containerd else 0)


async def test_a_child_has_its_parent_and_its_layers(subject: Subject) -> None:
    base = subject.add("team/base:1")
    child = subject.build("team/child:1", "team/base:1")
    found = await listed(subject)
    below, above = found[base].details, found[child].details
    assert below is not None
    assert above is not None
    assert (above.parent, above.layers[:1]) == (base, below.layers)


async def test_an_image_made_by_docker_commit_is_distinguished_from_one_that_was_imported_or_built(
    subject: Subject,
) -> None:
    base = subject.add("team/base:1")
    child = subject.build("team/child:1", "team/base:1")
    made = [
        subject.commit(subject.create("team/base:1")),
        subject.commit(subject.create("team/child:1"), "team/work:1"),
    ]
    found = {image_id: image.details for image_id, image in (await listed(subject)).items()}
    assert {image_id: details.committed for image_id, details in found.items() if details is not None} == {
        base: False,
        child: False,
        **dict.fromkeys(made, True),
    }
    assert [details.parent for details in map(found.get, made) if details is not None] == [base, child]


async def test_known_details_are_not_asked_for_again(subject: Subject) -> None:
    image_id = subject.add("team/base:1")
    known = builders.make_details("known before")
    assert [image.details for image in await subject.engine.images({image_id: known})] == [known]


@pytest.mark.parametrize("name", ["base:1", "docker.io/library/base:1", "id"])
async def test_a_name_means_an_image(subject: Subject, name: str) -> None:
    image_id = subject.add("base:1")
    assert await subject.engine.image_id(image_id if name == "id" else name) == image_id
    assert await subject.engine.references(image_id) == names_of(subject, image_id, "base:1")


@pytest.mark.parametrize("ref", ["127.0.0.1:5000/a/b_c--d.e:V1.2_x-y", "a/b/c/d:1", f"x:{'t' * 128}"])
async def test_odd_names_are_names(subject: Subject, ref: str) -> None:
    image_id = subject.add(ref)
    assert await subject.engine.image_id(ref) == image_id
    subject.tag(image_id, "other:1")
    await subject.engine.untag(ref)
    await subject.engine.tag(image_id, ref)
    assert await subject.engine.references(image_id) == names_of(subject, image_id, ref, "other:1")


# Deleting


async def test_one_of_several_tags_is_removed_alone(subject: Subject) -> None:
    image_id = subject.add("team/base:1", "team/base:2")
    subject.create("team/base:1")
    await subject.engine.untag("team/base:1")
    assert await subject.engine.references(image_id) == names_of(subject, image_id, "team/base:2")


async def test_the_folders_of_an_images_layers_are_reported_for_each_of_them_or_for_none(subject: Subject) -> None:
    subject.add("team/base:1")
    child = subject.build("team/child:1", "team/base:1")
    folders, layers = await subject.engine.layer_folders(child), await subject.engine.layers(child)
    assert len(folders) in ({0} if subject.containerd else {0, len(layers)})


async def test_with_its_last_tag_an_image_is_removed(subject: Subject) -> None:
    subject.add("team/base:1")
    await subject.engine.untag("team/base:1")
    assert await listed(subject) == {}


async def test_by_its_id_an_image_is_removed_with_its_tag(subject: Subject) -> None:
    await subject.engine.delete(subject.add("team/base:1"))
    assert await listed(subject) == {}


@pytest.mark.parametrize("by", ["tag", "id"])
async def test_a_used_image_is_refused(subject: Subject, by: str) -> None:
    image_id = subject.add("team/base:1")
    subject.create("team/base:1")
    with pytest.raises(Conflict):
        await (subject.engine.untag("team/base:1") if by == "tag" else subject.engine.delete(image_id))
    assert await subject.engine.references(image_id) == names_of(subject, image_id, "team/base:1")


async def test_an_image_of_several_tags_is_refused_by_id(subject: Subject) -> None:
    image_id = subject.add("team/base:1", "team/base:2")
    with pytest.raises(Conflict):
        await subject.engine.delete(image_id)
    assert await subject.engine.references(image_id) == names_of(subject, image_id, "team/base:1", "team/base:2")


async def test_a_parent_is_refused_by_id_unless_its_child_can_do_without_it(subject: Subject) -> None:
    base = subject.add("team/base:1")
    child = subject.build("team/child:1", "team/base:1")
    if subject.containerd:
        await subject.engine.delete(base)
        subject.run("team/child:1", rm=True)
    else:
        with pytest.raises(Conflict):
            await subject.engine.delete(base)
    assert child in await listed(subject)
    assert (base in await listed(subject)) is not subject.containerd


async def test_a_parent_without_its_tag_is_hidden(subject: Subject) -> None:
    base = subject.add("team/base:1")
    subject.build("team/child:1", "team/base:1")
    await subject.engine.untag("team/base:1")
    assert await subject.engine.references(base) == ((), ())


async def test_deleting_a_child_leaves_its_untagged_parent(subject: Subject) -> None:
    base = subject.add("team/base:1")
    child = subject.build("team/child:1", "team/base:1")
    await subject.engine.untag("team/base:1")
    await subject.engine.delete(child)
    assert set(await listed(subject)) == {base}


async def test_the_answer_to_an_untag_names_the_reference_alone(subject: Subject) -> None:
    subject.add("team/base:1", "base:2")
    assert await subject.engine.untag("docker.io/library/base:2") == Removed(("base:2",))


@pytest.mark.parametrize("by", ["tag", "id"])
async def test_the_answer_to_a_deletion_names_the_image_and_on_a_graph_driver_the_layers_that_went(
    subject: Subject, by: str
) -> None:
    base = subject.add("team/base:1")
    child = subject.build("team/child:1", "team/base:1")
    below, above = (await listed(subject))[base].details, (await listed(subject))[child].details
    assert below is not None
    assert above is not None
    removed = await (subject.engine.untag("team/child:1") if by == "tag" else subject.engine.delete(child))
    own = [chain for chain in chain_ids(above.layers) if chain not in chain_ids(below.layers)]
    assert removed == Removed(("team/child:1",), (child, *(() if subject.containerd else own)))


async def test_a_tag_can_be_given_back(subject: Subject) -> None:
    image_id = subject.add("team/base:1", "team/base:2")
    await subject.engine.untag("team/base:1")
    await subject.engine.tag(image_id, "team/base:1")
    assert await subject.engine.references(image_id) == names_of(subject, image_id, "team/base:1", "team/base:2")


async def test_an_image_that_is_gone_is_not_found(subject: Subject) -> None:
    gone = builders.make_id("gone")
    with pytest.raises(NotFound):
        await subject.engine.delete(gone)
    with pytest.raises(NotFound):
        await subject.engine.untag("team/gone:1")
    with pytest.raises(NotFound):
        await subject.engine.tag(gone, "team/gone:1")
    with pytest.raises(NotFound):
        await subject.engine.image_id("team/gone:1")
    with pytest.raises(NotFound):
        await subject.engine.references(gone)
    with pytest.raises(NotFound):
        await subject.engine.layer_folders(gone)
