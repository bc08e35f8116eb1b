"""The removal of one image: whole or not at all. Never force, always `noprune`, by the full ID.

The engine has no lock. What is untagged is put back where the engine then refuses; a crash in between is settled by
the same call, from the journal. The order of the acts is that of the safest removal known (measured on 20.10 to 29.7).
"""

from dataclasses import dataclass

from agent.adapters.engine import Conflict, Engine, EngineError, EngineUnavailable, NotFound
from agent.core.model import Image, Outcome


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a removal. `error` is the engine's own word, None where it went."""

    outcome: Outcome
    error: str | None = None


async def remove(engine: Engine, image: Image, *, containerd: bool) -> Result:
    """Remove an image with all its references, or leave it with all its tags.

    The caller has checked that nothing uses it, and written the journal row. Raises EngineUnavailable where the
    engine is lost on the way: the journal row then stays, and `settle` ends it when the engine is back.
    """
    try:
        await _take_apart(engine, image, containerd=containerd)
    except NotFound:
        pass  # gone already, or its last reference took it along: the look below tells
    except EngineUnavailable:
        raise
    except EngineError as error:
        return await _refused(engine, image, error)
    if await _is_gone(engine, image.id):
        return Result(Outcome.REMOVED)
    return await _refused(engine, image, Conflict(409, "the engine took its names but kept the image"))


async def settle(engine: Engine, image_id: str, references: tuple[str, ...]) -> Result:
    """End a removal that was cut short: the image is gone, or gets back all the tags that it had."""
    if await _is_gone(engine, image_id):
        return Result(Outcome.REMOVED)
    left_out = await restore(engine, image_id, references)
    return Result(Outcome.FAILED, _told("interrupted; the image is whole", left_out))


async def restore(engine: Engine, image_id: str, references: tuple[str, ...]) -> tuple[str, ...]:
    """Give an image its tags back. Returns those that by now name another image, and are left to it."""
    taken = []
    for reference in references:
        holder = await _holder(engine, reference)
        if holder is None:
            await engine.tag(image_id, reference)
        elif holder != image_id:
            taken.append(reference)
    return tuple(taken)


async def _take_apart(engine: Engine, image: Image, *, containerd: bool) -> None:
    for reference in _all_but_the_kept(image):
        holder = await _holder(engine, reference)
        if holder is None:  # somebody else took it meanwhile
            continue
        if holder != image.id:
            raise Conflict(409, f"{reference} names another image by now")
        await engine.untag(reference)
    await _drop_extra_digests(engine, image.id, containerd=containerd)
    await engine.delete(image.id)


def _all_but_the_kept(image: Image) -> list[str]:
    """A repository's digest goes with its last tag and cannot be put back, so a tag that has one stays longest."""
    pulled = {digest.partition("@")[0] for digest in image.digests}
    return sorted(image.references, key=lambda reference: _repository(reference) not in pulled)[1:]


async def _drop_extra_digests(engine: Engine, image_id: str, *, containerd: bool) -> None:
    """The engine deletes by ID only with the references of one repository left.

    A graph driver takes a single digest beside the tag. On the containerd store deleting a digest deletes every
    reference of its repository, so those of the kept one stay, and all of them where a tag came meanwhile.
    """
    tags, digests = await engine.references(image_id)
    kept = _repository(tags[0]) if tags else None
    if containerd and len(tags) > 1:
        return
    own = [digest for digest in digests if kept is None or digest.partition("@")[0] == kept]
    for digest in digests:
        if digest not in own[:1]:
            await engine.untag(digest)


def _repository(reference: str) -> str:
    return reference.rpartition(":")[0]


async def _refused(engine: Engine, image: Image, error: EngineError) -> Result:
    try:
        left_out = await restore(engine, image.id, image.references)
    except NotFound:
        return Result(Outcome.REMOVED)  # it went after all
    outcome = Outcome.REFUSED if isinstance(error, Conflict) else Outcome.FAILED
    return Result(outcome, _told(str(error), left_out))


def _told(error: str, left_out: tuple[str, ...]) -> str:
    return f"{error}; {', '.join(left_out)} names another image by now" if left_out else error


async def _holder(engine: Engine, reference: str) -> str | None:
    try:
        return await engine.image_id(reference)
    except NotFound:
        return None


async def _is_gone(engine: Engine, image_id: str) -> bool:
    return await _holder(engine, image_id) is None
