"""`torchkeeper restore`: pull an evicted image by its digest, and give it back the tags that it had."""

from collections.abc import Callable
from dataclasses import dataclass

from agent.adapters.engine import EngineError, EngineUnavailable, NotFound
from agent.adapters.puller import Progress, Puller
from agent.core.protocol.evicted import Evicted


class NotRestored(Exception):
    """The image was not restored, or not with all its tags; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did. `id` differs from that of the evicted image if the engine now has another image store."""

    id: str
    origin: str
    pulled: bool  # False if the image was here already
    tagged: tuple[str, ...]  # tags that it did not have before


async def restore(engine: Puller, image: Evicted, show: Callable[[Progress], None]) -> Restored:
    """Restore one image. It may be killed and called again at any time: what is done is not done twice.

    Raises NotRestored, and EngineUnavailable if the engine cannot be reached.
    """
    name = " ".join(image.tags) or image.id[7:19]
    if image.origin is None:
        raise NotRestored(
            f"{name}: no registry is known to have this image, so it cannot be pulled; build it or load it again"
        )
    before = await _find(engine, image.origin)
    await _missing_tags(engine, image, before or image.id, "nothing was pulled")
    if before is None:
        await _pull(engine, image.origin, show)
    found = before or await _find(engine, image.origin)
    if found is None:
        raise NotRestored(f"{image.origin}: the pull ended, but the image is not here; try again")
    missing = await _missing_tags(engine, image, found, f"the image is here as {image.origin}")
    for tag in missing:
        await engine.tag(found, tag)
    return Restored(found, image.origin, before is None, missing)


async def _missing_tags(engine: Puller, image: Evicted, image_id: str, state: str) -> tuple[str, ...]:
    """The tags that point to no image. Raises NotRestored if one points to another image: that may be in use."""
    missing = []
    for tag in image.tags:
        owner = await _find(engine, tag)
        if owner is None:
            missing.append(tag)
        elif owner != image_id:
            raise NotRestored(
                f"{tag} now belongs to another image, {owner[7:19]}; {state}. "
                f"Give that one another name first: docker tag {tag} NEW_NAME && docker rmi {tag}"
            )
    return tuple(missing)


async def _find(engine: Puller, reference: str) -> str | None:
    try:
        return await engine.image_id(reference)
    except NotFound:
        return None


async def _pull(engine: Puller, origin: str, show: Callable[[Progress], None]) -> None:
    try:
        async with engine.pull(origin) as progress:
            async for step in progress:
                show(step)
    except EngineUnavailable:
        raise
    except EngineError as error:
        raise NotRestored(
            f"{origin} cannot be pulled: {error}; if the registry wants a login, run `docker login` first"
        ) from error
