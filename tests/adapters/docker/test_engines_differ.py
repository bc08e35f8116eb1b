"""Engines differ in version and in image store; what the agent relies on looks the same on all of them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime

import pytest

from agent.adapters.docker.engine import DockerEngine
from agent.adapters.engine import NotFound, Removed
from agent.core.images import layers
from agent.core.model import Image
from agent.core.policy.decision import Outcome
from agent.core.usage.own_removals import OwnRemovals
from agent.eviction import removal
from agent.eviction.removal_answers import Answers
from tests.support import dockerd, engines, images, registry
from tests.support.fake_host import remove_image

SLEEP = ("sleep", "600")
LOCAL = ("a:1", "a:2", "b/c:1")


@pytest.fixture
def fresh(any_engine: dockerd.Dockerd) -> dockerd.Dockerd:
    any_engine.empty()
    return any_engine


@pytest.fixture
async def engine(fresh: dockerd.Dockerd) -> AsyncIterator[DockerEngine]:
    client = DockerEngine(fresh.url)
    await client.connect()
    yield client
    await client.close()


async def listed(engine: DockerEngine, image_id: str) -> Image | None:
    return next((image for image in await engine.images({}) if image.id == image_id), None)


async def remove(engine: DockerEngine, image_id: str) -> removal.RemovalResult:
    image = await listed(engine, image_id)
    assert image is not None
    return await remove_image(engine, image, containerd=(await engine.connect()).containerd_store)


def push(daemon: dockerd.Dockerd, references: Sequence[str]) -> str:
    """Import an image, push it under all of these names, and forget it; its digest in the registry."""
    images.import_image(daemon, references[0], extra_refs=references[1:])
    outputs = [daemon.docker("push", reference) for reference in references]
    daemon.empty()
    return outputs[0].rpartition("digest: ")[2].split()[0]


def pull(daemon: dockerd.Dockerd, *references: str) -> str:
    """Pull one image by these names; its ID."""
    for reference in references:
        daemon.docker("pull", reference)
    return images.image_id(daemon, references[0])


async def test_each_kind_of_engine_is_the_one_that_it_is_called(any_kind: str, pool_of_engines: engines.Pool) -> None:
    client = DockerEngine(pool_of_engines.get(any_kind).url)
    info = await client.connect()
    await client.close()
    name = any_kind.partition("-")[0]
    assert info.version in engines.current() if name == "current" else info.version.startswith(f"{name}.")
    assert info.containerd_store is any_kind.endswith("-containerd")


# Identity and names


async def test_the_list_and_the_inspect_agree_on_the_names_of_an_image(
    fresh: dockerd.Dockerd, engine: DockerEngine
) -> None:
    image_id = images.import_image(fresh, LOCAL[0], extra_refs=LOCAL[1:])
    (image,) = await engine.images({})
    assert (image.id, image.references, image.origin) == (image_id, LOCAL, None)
    assert (image.references, image.digests) == await engine.references(image_id)


async def test_a_pulled_image_has_the_digest_that_the_push_reported(
    fresh: dockerd.Dockerd, engine: DockerEngine, loopback_registry: registry.Registry
) -> None:
    name = f"{loopback_registry.name}/pulled/app"
    digest = f"{name}@{push(fresh, [f'{name}:1'])}"
    image_id = pull(fresh, f"{name}:1")
    (image,) = await engine.images({})
    assert (image.id, image.references, image.digests) == (image_id, (f"{name}:1",), (digest,))
    assert image.origin == (None if (await engine.connect()).containerd_store else digest)
    assert await engine.image_id(digest) == image_id


async def test_an_image_pulled_by_digest_has_no_tag_and_is_not_nameless(
    fresh: dockerd.Dockerd, engine: DockerEngine, loopback_registry: registry.Registry
) -> None:
    name = f"{loopback_registry.name}/digest/app"
    digest = f"{name}@{push(fresh, [f'{name}:1'])}"
    image_id = pull(fresh, digest)
    (image,) = await engine.images({})
    assert (image.id, image.references, image.digests) == (image_id, (), (digest,))


async def test_a_tag_that_moved_names_the_new_image_alone(fresh: dockerd.Dockerd, engine: DockerEngine) -> None:
    old = images.import_image(fresh, "moved:1")
    new = images.import_image(fresh, "moved:1")
    assert await engine.image_id("moved:1") == new
    left = await listed(engine, old)  # a containerd store may have dropped it
    assert left is None or (left.references, left.digests) == ((), ())


@pytest.mark.parametrize("running", [True, False], ids=["running", "created"])
async def test_a_container_keeps_its_image_after_the_tag_moved(
    running: bool, fresh: dockerd.Dockerd, engine: DockerEngine
) -> None:
    old = images.import_image(fresh, "moved:1")
    container = (
        images.run(fresh, "moved:1", *SLEEP, detach=True) if running else images.create(fresh, "moved:1", *SLEEP)
    )
    images.import_image(fresh, "moved:1")
    assert (await engine.made_from(container)).image_id == old
    assert [found.image_id for found in await engine.containers({})] == [old]


# Layers


@pytest.mark.parametrize("classic", [True, False], ids=["classic", "buildkit"])
async def test_a_build_shows_its_base_and_what_it_adds(
    classic: bool, any_kind: str, fresh: dockerd.Dockerd, engine: DockerEngine
) -> None:
    base = images.import_image(fresh, "base:1", size_mb=3)
    child = images.build_child(fresh, "base:1", "child:1", classic=classic)
    found = await engine.images({})
    top = next(image for image in found if image.id == child)
    assert base in layers.base_images(child, found)
    assert top.details is not None
    assert bool(top.details.parent) is classic
    # What it adds does not compress, and the containerd store keeps it twice.
    copies = 2 if any_kind.endswith("-containerd") and any_kind not in engines.UNDERSTATES_BYTES else 1
    assert copies * images.MB <= layers.LayerIndex(found).reclaimable_bytes(child) < 1.1 * copies * images.MB


async def test_an_image_built_by_buildkit_runs_on_without_its_base(
    fresh: dockerd.Dockerd, engine: DockerEngine
) -> None:
    base = images.import_image(fresh, "base:1")
    images.build_child(fresh, "base:1", "child:1", classic=False)
    assert (await remove(engine, base)).outcome is Outcome.REMOVED
    assert images.run(fresh, "child:1", "echo", "alive", rm=True) == "alive"


# Commits


async def test_no_step_of_a_build_is_taken_for_a_commit_where_the_engine_keeps_what_distinguishes_them(
    any_kind: str, fresh: dockerd.Dockerd, engine: DockerEngine
) -> None:
    images.import_image(fresh, "base:1")
    lines = ("RUN true > /run", 'RUN ["touch", "/exec"]', "ENV A=1", "COPY payload /child", 'CMD ["sleep"]')
    for classic in (True, False):
        images.build_child(fresh, "base:1", f"child:{classic}", lines=lines, classic=classic)
    found = await engine.images({})
    unsure = {"/bin/sh -c true > /run", "touch /exec"}  # steps of the classic builder
    taken = {image.details.history[-1].created_by for image in found if image.details and image.details.committed}
    assert len(found) == 7
    assert taken == (set() if any_kind in engines.TELLS_COMMITS_APART else unsure)


@pytest.mark.parametrize("flags", [(), ("-m", "Imported from me"), ("-c", 'CMD ["true"]'), ("-c", "ENV A=1")], ids=str)
@pytest.mark.parametrize("by_id", [False, True], ids=["by name", "by ID"])
async def test_a_commit_is_never_taken_for_a_step_of_a_build(
    flags: tuple[str, ...], by_id: bool, fresh: dockerd.Dockerd, engine: DockerEngine
) -> None:
    base = images.import_image(fresh, "base:1")
    of, shell = base if by_id else "base:1", ("/bin/sh", "-c", "true > /shell")
    containers = [
        images.create(fresh, of),
        images.create(fresh, of, *shell),
        fresh.docker("create", "--network=host", of, *shell),
        images.create(fresh, of, *shell, options=("--uts=host",)),
    ]
    made = {fresh.docker("commit", *flags, container) for container in containers}
    found = [image.details for image in await engine.images({}) if image.id in made]
    assert [details is not None and details.committed for details in found] == [True] * len(made)


# Removal, whole or not at all


async def test_an_image_with_many_tags_is_removed_whole_and_alone(fresh: dockerd.Dockerd, engine: DockerEngine) -> None:
    stays = images.import_image(fresh, "other:1")
    goes = images.import_image(fresh, LOCAL[0], extra_refs=LOCAL[1:])
    assert await remove(engine, goes) == removal.RemovalResult(Outcome.REMOVED)
    assert [image.id for image in await engine.images({})] == [stays]
    with pytest.raises(NotFound):
        await engine.image_id(goes)


@pytest.mark.parametrize("names", ["a:1", "a:1 b:1", "a", "a:1 a", "a:1 a:2 b:1 a b"])
async def test_a_pulled_image_is_removed_whole(
    names: str, fresh: dockerd.Dockerd, engine: DockerEngine, loopback_registry: registry.Registry
) -> None:
    """`names`: the tags by which it is pulled; one without a tag stands for the digest."""
    place = f"{loopback_registry.name}/goes"
    digest = push(fresh, [f"{place}/{tag}" for tag in ("a:1", "a:2", "b:1")])
    image_id = pull(
        fresh, *(f"{place}/{name}" if ":" in name else f"{place}/{name}@{digest}" for name in names.split())
    )
    assert await remove(engine, image_id) == removal.RemovalResult(Outcome.REMOVED)
    assert fresh.images() == []


@pytest.mark.parametrize("state", ["running", "created"])
async def test_an_image_in_use_is_left_with_all_its_tags(
    state: str, fresh: dockerd.Dockerd, engine: DockerEngine
) -> None:
    image_id = images.import_image(fresh, LOCAL[0], extra_refs=LOCAL[1:])
    before = await engine.references(image_id)
    if state == "created":
        images.create(fresh, image_id)
    else:
        images.run(fresh, image_id, *SLEEP, detach=True)
    result = await remove(engine, image_id)
    assert result.outcome is Outcome.REFUSED
    assert "is being used by" in (result.error or "")
    assert await engine.references(image_id) == before


async def test_a_pulled_image_in_use_keeps_its_digest_and_the_tags_of_others(
    fresh: dockerd.Dockerd, engine: DockerEngine, loopback_registry: registry.Registry
) -> None:
    name = f"{loopback_registry.name}/used/app:1"
    push(fresh, [name])
    image_id = pull(fresh, name)
    await engine.tag(image_id, "alias:1")
    await engine.tag(image_id, "zebra:1")
    before = await engine.references(image_id)
    images.create(fresh, name)
    assert (await remove(engine, image_id)).outcome is Outcome.REFUSED
    assert await engine.references(image_id) == before


# Somebody else, between the look and the call


class Racing(DockerEngine):
    """Lets somebody do something just before a DELETE."""

    def __init__(self, url: str, act: Callable[[], object]) -> None:
        super().__init__(url)
        self._act: Callable[[], object] | None = act

    async def untag(self, reference: str) -> Removed:
        await self._once()
        return await super().untag(reference)

    async def delete(self, image_id: str) -> Removed:
        await self._once()
        return await super().delete(image_id)

    async def _once(self) -> None:
        act, self._act = self._act, None
        if act is not None:
            await asyncio.to_thread(act)


async def race(
    fresh: dockerd.Dockerd, image: Image, act: Callable[[], object]
) -> tuple[removal.RemovalResult, Answers]:
    """A removal, in which somebody acts before its first DELETE."""
    racing, answers = Racing(fresh.url, act), Answers(image, {})
    containerd = (await racing.connect()).containerd_store
    try:
        return await remove_image(racing, image, containerd=containerd, answers=answers), answers
    finally:
        await racing.close()


async def test_an_image_that_loses_its_tag_to_another_stays_and_what_the_engine_deleted_is_known(
    fresh: dockerd.Dockerd, engine: DockerEngine
) -> None:
    image = await listed(engine, images.import_image(fresh, LOCAL[0], extra_refs=LOCAL[1:]))
    other = images.import_image(fresh, "other:1")
    assert image is not None

    def pass_on() -> None:
        fresh.docker("tag", "other:1", LOCAL[1])
        fresh.docker("rmi", "other:1")

    result, answers = await race(fresh, image, pass_on)
    assert result == removal.RemovalResult(Outcome.REFUSED, f"{LOCAL[1]} had passed to another image, which lost it")
    assert answers.also_removed == (LOCAL[1], other)
    assert await engine.references(image.id) == _named(image, LOCAL[0], LOCAL[2])
    assert [one.id for one in await engine.images({})] == [image.id]


async def test_an_image_of_one_tag_is_evicted_by_its_id_and_the_one_that_took_its_tag_stays(
    fresh: dockerd.Dockerd, engine: DockerEngine
) -> None:
    image = await listed(engine, images.import_image(fresh, LOCAL[0]))
    other = images.import_image(fresh, "other:1")
    assert image is not None
    result, answers = await race(fresh, image, lambda: fresh.docker("tag", "other:1", LOCAL[0]))
    assert (result, answers.also_removed) == (removal.RemovalResult(Outcome.REMOVED), ())
    assert [one.id for one in await engine.images({})] == [other]
    assert await engine.image_id(LOCAL[0]) == other


async def test_a_name_that_a_nameless_image_gets_before_it_is_removed_is_recorded(
    fresh: dockerd.Dockerd, engine: DockerEngine
) -> None:
    built = fresh.docker("build", "--quiet", "-", stdin=b"FROM scratch\nENV A=1\nENV B=1")
    image = await listed(engine, built)
    assert image is not None
    result, answers = await race(fresh, image, lambda: fresh.docker("tag", built, "user/torch:1"))
    assert (result, answers.also_removed) == (removal.RemovalResult(Outcome.REMOVED), ("user/torch:1",))


def _named(image: Image, *references: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """On the containerd store it has a digest in each repository of its tags."""
    kept = {reference.rpartition(":")[0] for reference in references}
    digests = [digest for digest in image.digests if digest.partition("@")[0] in kept]
    return tuple(sorted(references)), tuple(sorted(digests))


@pytest.mark.parametrize("used", [False, True], ids=["that succeeds", "that is refused"])
@pytest.mark.parametrize("names", ["a:1", "a:1 a:2 b:1", "a"])
async def test_every_event_of_a_removal_is_known_as_an_echo_and_each_that_was_expected_comes(
    used: bool, names: str, fresh: dockerd.Dockerd, engine: DockerEngine, loopback_registry: registry.Registry
) -> None:
    place = f"{loopback_registry.name}/echo"
    digest = push(fresh, [f"{place}/{tag}" for tag in ("a:1", "a:2", "b:1")])
    named = (f"{place}/{name}" if ":" in name else f"{place}/{name}@{digest}" for name in names.split())
    image = await listed(engine, pull(fresh, *named))
    assert image is not None
    if used:
        images.create(fresh, image.id)
    own, since_ns = OwnRemovals(), time.time_ns()
    own.begin(image.id, datetime.fromtimestamp(since_ns / 1e9, UTC))
    containerd = (await engine.connect()).containerd_store
    await removal.remove(engine, image, own, Answers(image, {}), containerd=containerd, undisturbed=lambda: True)
    events = [event for event in (await engine.ring()).events if event.time_ns >= since_ns and event.kind == "image"]
    assert [event for event in events if not own.caused(event)] == []
    assert used or own._spans[image.id].echoes == []


# Events and lists


async def test_the_events_of_an_image_report_its_id_but_a_pull_its_reference(
    fresh: dockerd.Dockerd, engine: DockerEngine, loopback_registry: registry.Registry
) -> None:
    name = f"{loopback_registry.name}/told/app:1"
    push(fresh, [name])
    since_ns = time.time_ns()
    image_id = pull(fresh, name)
    await engine.tag(image_id, "told:1")
    await engine.untag("told:1")
    await engine.delete(image_id)
    imported = images.import_image(fresh, "told:2")
    events = [event for event in (await engine.ring()).events if event.time_ns >= since_ns]
    assert [event.name for event in events if (event.action, event.actor) == ("tag", image_id)] == ["told:1"]
    # A graph driver also reports a digest that is removed with its tag, and the tag of an import.
    seen = dict.fromkeys((event.action, event.actor) for event in events)
    assert [one for one in seen if one != ("tag", imported)] == [
        ("pull", name),
        ("tag", image_id),
        ("untag", image_id),
        ("delete", image_id),
        ("import", imported),
    ]


async def test_lists_stay_whole_while_images_are_removed(fresh: dockerd.Dockerd, engine: DockerEngine) -> None:
    stays = images.import_image(fresh, "stays:1")
    going = [images.import_image(fresh, f"goes:{number}", size_mb=0) for number in range(15)]
    async with asyncio.TaskGroup() as group:
        deleting = group.create_task(_delete(engine, going))
        while not deleting.done():
            assert stays in [image.id for image in await engine.images({})]
    assert [image.id for image in await engine.images({})] == [stays]


async def _delete(engine: DockerEngine, image_ids: Sequence[str]) -> None:
    for image_id in image_ids:
        await engine.delete(image_id)
