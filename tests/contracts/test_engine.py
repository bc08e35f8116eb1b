"""One contract, on the engine in memory and on each kind of real one, so that the fake cannot drift from the truth."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import pytest

from agent.adapters.engine import Conflict, EngineUnavailable, MadeFrom, NotFound, Removed
from agent.core.images.layers import chain_ids
from agent.core.model import Container, Image
from agent.core.usage.events import EngineEvent
from tests.contracts.engine_sides import FakeSide, RealSide, Side
from tests.support import builders, engines, proc

WHO = {
    "fake": ("20.10.24", "1.41", False),
    "20.10": ("20.10.24", "1.41", False),
    "26.1-containerd": ("26.1.5", "1.45", True),
}
RUN = ["create", "start", "die", "destroy"]


def make_side(kind: str, request: pytest.FixtureRequest) -> Side:
    if kind == "fake":
        return FakeSide()
    daemon = request.getfixturevalue("pool_of_engines").get(kind)
    daemon.empty()
    return RealSide(daemon, containerd=kind.endswith("-containerd"))


@pytest.fixture(params=["fake", *(pytest.param(kind, marks=pytest.mark.real) for kind in engines.KINDS)])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def side(kind: str, request: pytest.FixtureRequest) -> AsyncIterator[Side]:
    made = make_side(kind, request)
    await made.engine.connect()
    yield made
    await made.engine.close()


async def told(side: Side, act: Callable[[], object], last: str, since_ns: int = 0) -> list[EngineEvent]:
    """The events that an act raises, up to the first of the action `last`."""
    found = []
    async with side.engine.events(since_ns or side.now_ns()) as stream, asyncio.timeout(proc.PATIENCE):
        if isinstance(side, RealSide):
            await asyncio.sleep(0.1)  # the engine answers before it has subscribed
            await asyncio.to_thread(act)
        else:
            act()
        async for event in stream:
            found.append(event)
            if event.action == last:
                break
    return found


def who(kind: str, side: Side) -> tuple[str, str, bool]:
    """Version, API version, whether it is the containerd store. The current engine is another one every few months."""
    if not isinstance(side, RealSide) or kind in WHO:
        return WHO[kind]
    told = side.real.api("GET", "/version")[1]
    major, minor = map(int, told["ApiVersion"].split("."))
    return told["Version"].partition("+")[0], f"{major}.{min(minor, 51)}", side.containerd


def named(side: Side, image_id: str, *references: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What an image that was never pushed is called: the containerd store has a digest for it in each repository."""
    repositories = {reference.rpartition(":")[0] for reference in references} if side.containerd else set()
    return tuple(sorted(references)), tuple(sorted(f"{repository}@{image_id}" for repository in repositories))


def at(time_ns: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_ns // 1000)


async def listed(side: Side) -> dict[str, Image]:
    return {image.id: image for image in await side.engine.images({})}


async def stopped(side: Side) -> list[Container]:
    return [container for container in await side.engine.containers({}) if container.state == "exited"]


# Who and whether


async def test_it_tells_who_it_is(side: Side, kind: str) -> None:
    info = await side.engine.connect()
    assert (info.version.partition("+")[0], info.api_version, info.containerd_store) == who(kind, side)
    assert "" not in (info.id, info.name, info.driver)
    await side.engine.ping()


async def test_an_engine_that_is_not_there_is_unavailable(side: Side) -> None:
    with pytest.raises(EngineUnavailable):
        await side.nowhere().connect()


async def test_without_a_connection_it_is_unavailable(side: Side) -> None:
    await side.engine.close()
    with pytest.raises(EngineUnavailable):
        await side.engine.images({})


# Events


async def test_a_run_is_told_live(side: Side) -> None:
    side.add("team/base:1")
    events = await told(side, lambda: side.run("team/base:1", rm=True), "destroy")
    assert [(event.kind, event.action, event.image) for event in events] == [
        ("container", action, "team/base:1") for action in RUN
    ]
    assert len({(event.actor, event.name) for event in events}) == 1


async def test_what_happened_before_is_replayed_from_a_time_on(side: Side) -> None:
    side.add("team/base:1")
    before = side.now_ns()  # others' containers may have come and gone on this engine
    side.run("team/base:1", rm=True)
    first = (await told(side, lambda: None, "destroy", since_ns=before))[-4]
    again = await told(side, lambda: None, "destroy", since_ns=first.time_ns)
    assert [event.action for event in again] == RUN
    later = await told(side, lambda: None, "destroy", since_ns=first.time_ns + 1)
    assert [event.action for event in later] == RUN[1:]


async def test_an_exec_is_never_told(side: Side) -> None:
    side.add("team/base:1")
    events = await told(side, lambda: side.execute_in("team/base:1"), "destroy")
    assert [event.action for event in events if event.action not in (*RUN, "kill")] == []
    assert "create" in [event.action for event in events]


async def test_the_ring_has_all_rows_and_those_that_are_read(side: Side) -> None:
    before = await side.engine.ring()
    side.add("team/base:1")
    side.execute_in("team/base:1")
    after = await side.engine.ring()
    read = [event.action for event in after.events]
    assert read[-4:] == RUN
    assert after.size > len(after.events) or before.size >= 256
    assert after.oldest_ns <= after.events[0].time_ns


async def test_a_tag_that_moves_is_told_for_its_new_image_only(side: Side) -> None:
    old, new = side.add("team/base:1"), side.add("team/base:2")
    [event] = await told(side, lambda: side.tag(new, "team/base:1"), "tag")
    assert (event.kind, event.action, event.actor, event.name) == ("image", "tag", new, "team/base:1")
    assert [(await listed(side))[image_id].references for image_id in (old, new)] == [
        (),
        ("team/base:1", "team/base:2"),
    ]


async def test_a_deletion_is_told_by_id(side: Side) -> None:
    image_id = side.add("team/base:1")
    async with side.engine.events(side.now_ns()) as stream, asyncio.timeout(proc.PATIENCE):
        await side.engine.delete(image_id)
        found = [await anext(stream), await anext(stream)]
    assert [(event.action, event.actor) for event in found] == [("untag", image_id), ("delete", image_id)]


# Containers


async def test_a_container_is_known_by_its_image_after_the_tag_moved(side: Side) -> None:
    old, new = side.add("team/base:1"), side.add("team/base:2")
    cid = side.create("team/base:1", "box")
    side.tag(new, "team/base:1")
    assert await side.engine.made_from(cid) == MadeFrom(old)
    [found] = await side.engine.containers({})
    assert (found.id, found.image_id, found.name, found.state) == (cid, old, "box", "created")


async def test_a_stopped_container_was_active_until_its_end(side: Side) -> None:
    side.add("team/base:1")
    began = at(side.now_ns())
    side.run("team/base:1", rm=False)
    [found] = await proc.eventually_async(lambda: stopped(side))  # 26.1 may list it as running a moment longer
    assert found.last_active is not None
    assert began <= found.last_active <= at(side.now_ns())
    known = Container(
        id=found.id, image_id=found.image_id, state="exited", last_active=datetime(2020, 1, 1, tzinfo=UTC)
    )
    assert [again.last_active for again in await side.engine.containers({found.id: known})] == [known.last_active]


async def test_a_container_that_is_gone_is_not_found(side: Side) -> None:
    with pytest.raises(NotFound):
        await side.engine.made_from("f" * 64)


# Images


async def test_an_image_tells_what_it_is(side: Side) -> None:
    image_id = side.add("team/torch:2", "team/torch:1", env={"PYTORCH_VERSION": "2.9.0"})
    found = (await listed(side))[image_id]
    assert (found.references, found.digests) == named(side, image_id, "team/torch:1", "team/torch:2")
    assert found.origin is None
    assert found.details is not None
    assert found.details.env["PYTORCH_VERSION"] == "2.9.0"
    assert (len(found.details.layers), found.details.parent) == (1, "")
    assert sum(step.size_bytes for step in found.details.history) > 0


async def test_an_image_of_the_containerd_store_tells_its_compressed_bytes_if_the_engine_does(
    side: Side, kind: str
) -> None:
    image_id = side.add("team/base:1")
    details = (await listed(side))[image_id].details
    assert details is not None
    if kind == "current-containerd":
        assert details.packed_bytes is not None
        assert details.packed_bytes > 100_000
    else:
        assert details.packed_bytes == (None if side.containerd else 0)


async def test_a_child_has_its_parent_and_its_layers(side: Side) -> None:
    base = side.add("team/base:1")
    child = side.build("team/child:1", "team/base:1")
    found = await listed(side)
    below, above = found[base].details, found[child].details
    assert below is not None
    assert above is not None
    assert (above.parent, above.layers[:1]) == (base, below.layers)


async def test_an_image_made_by_docker_commit_is_told_from_one_that_was_imported_or_built(side: Side) -> None:
    base = side.add("team/base:1")
    child = side.build("team/child:1", "team/base:1")
    made = [side.commit(side.create("team/base:1")), side.commit(side.create("team/child:1"), "team/work:1")]
    found = {image_id: image.details for image_id, image in (await listed(side)).items()}
    assert {image_id: details.committed for image_id, details in found.items() if details is not None} == {
        base: False,
        child: False,
        **dict.fromkeys(made, True),
    }
    assert [details.parent for details in map(found.get, made) if details is not None] == [base, child]


async def test_known_details_are_not_asked_for_again(side: Side) -> None:
    image_id = side.add("team/base:1")
    told_before = builders.make_details("told before")
    assert [image.details for image in await side.engine.images({image_id: told_before})] == [told_before]


@pytest.mark.parametrize("name", ["base:1", "docker.io/library/base:1", "id"])
async def test_a_name_means_an_image(side: Side, name: str) -> None:
    image_id = side.add("base:1")
    assert await side.engine.image_id(image_id if name == "id" else name) == image_id
    assert await side.engine.references(image_id) == named(side, image_id, "base:1")


@pytest.mark.parametrize("ref", ["127.0.0.1:5000/a/b_c--d.e:V1.2_x-y", "a/b/c/d:1", f"x:{'t' * 128}"])
async def test_odd_names_are_names(side: Side, ref: str) -> None:
    image_id = side.add(ref)
    assert await side.engine.image_id(ref) == image_id
    side.tag(image_id, "other:1")
    await side.engine.untag(ref)
    await side.engine.tag(image_id, ref)
    assert await side.engine.references(image_id) == named(side, image_id, ref, "other:1")


# Deleting


async def test_one_of_several_tags_goes_alone(side: Side) -> None:
    image_id = side.add("team/base:1", "team/base:2")
    side.create("team/base:1")
    await side.engine.untag("team/base:1")
    assert await side.engine.references(image_id) == named(side, image_id, "team/base:2")


async def test_the_folders_of_an_images_layers_are_told_for_each_of_them_or_for_none(side: Side) -> None:
    side.add("team/base:1")
    child = side.build("team/child:1", "team/base:1")
    folders, layers = await side.engine.layer_folders(child), await side.engine.layers(child)
    assert len(folders) in ({0} if side.containerd else {0, len(layers)})


async def test_with_its_last_tag_an_image_goes(side: Side) -> None:
    side.add("team/base:1")
    await side.engine.untag("team/base:1")
    assert await listed(side) == {}


async def test_by_its_id_an_image_goes_with_its_tag(side: Side) -> None:
    await side.engine.delete(side.add("team/base:1"))
    assert await listed(side) == {}


@pytest.mark.parametrize("by", ["tag", "id"])
async def test_a_used_image_is_refused(side: Side, by: str) -> None:
    image_id = side.add("team/base:1")
    side.create("team/base:1")
    with pytest.raises(Conflict):
        await (side.engine.untag("team/base:1") if by == "tag" else side.engine.delete(image_id))
    assert await side.engine.references(image_id) == named(side, image_id, "team/base:1")


async def test_an_image_of_several_tags_is_refused_by_id(side: Side) -> None:
    image_id = side.add("team/base:1", "team/base:2")
    with pytest.raises(Conflict):
        await side.engine.delete(image_id)
    assert await side.engine.references(image_id) == named(side, image_id, "team/base:1", "team/base:2")


async def test_a_parent_is_refused_by_id_unless_its_child_can_do_without_it(side: Side) -> None:
    base = side.add("team/base:1")
    child = side.build("team/child:1", "team/base:1")
    if side.containerd:
        await side.engine.delete(base)
        side.run("team/child:1", rm=True)
    else:
        with pytest.raises(Conflict):
            await side.engine.delete(base)
    assert child in await listed(side)
    assert (base in await listed(side)) is not side.containerd


async def test_a_parent_without_its_tag_is_hidden(side: Side) -> None:
    base = side.add("team/base:1")
    side.build("team/child:1", "team/base:1")
    await side.engine.untag("team/base:1")
    assert await side.engine.references(base) == ((), ())


async def test_deleting_a_child_leaves_its_untagged_parent(side: Side) -> None:
    base = side.add("team/base:1")
    child = side.build("team/child:1", "team/base:1")
    await side.engine.untag("team/base:1")
    await side.engine.delete(child)
    assert set(await listed(side)) == {base}


async def test_the_answer_to_an_untag_names_the_reference_alone(side: Side) -> None:
    side.add("team/base:1", "base:2")
    assert await side.engine.untag("docker.io/library/base:2") == Removed(("base:2",))


@pytest.mark.parametrize("by", ["tag", "id"])
async def test_the_answer_to_a_deletion_names_the_image_and_on_a_graph_driver_the_layers_that_went(
    side: Side, by: str
) -> None:
    base = side.add("team/base:1")
    child = side.build("team/child:1", "team/base:1")
    below, above = (await listed(side))[base].details, (await listed(side))[child].details
    assert below is not None
    assert above is not None
    removed = await (side.engine.untag("team/child:1") if by == "tag" else side.engine.delete(child))
    own = [chain for chain in chain_ids(above.layers) if chain not in chain_ids(below.layers)]
    assert removed == Removed(("team/child:1",), (child, *(() if side.containerd else own)))


async def test_a_tag_can_be_given_back(side: Side) -> None:
    image_id = side.add("team/base:1", "team/base:2")
    await side.engine.untag("team/base:1")
    await side.engine.tag(image_id, "team/base:1")
    assert await side.engine.references(image_id) == named(side, image_id, "team/base:1", "team/base:2")


async def test_what_is_gone_is_not_found(side: Side) -> None:
    gone = builders.make_id("gone")
    with pytest.raises(NotFound):
        await side.engine.delete(gone)
    with pytest.raises(NotFound):
        await side.engine.untag("team/gone:1")
    with pytest.raises(NotFound):
        await side.engine.tag(gone, "team/gone:1")
    with pytest.raises(NotFound):
        await side.engine.image_id("team/gone:1")
    with pytest.raises(NotFound):
        await side.engine.references(gone)
    with pytest.raises(NotFound):
        await side.engine.layer_folders(gone)
