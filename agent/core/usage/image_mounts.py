"""Images mounted in containers with `--mount type=image`: the engine keeps the name, and reports no image for it."""

from collections.abc import Iterable, Mapping

from agent.core.images.references import ReferenceIndex, familiar
from agent.core.model import Snapshot, Usage


def mounted(
    snapshot: Snapshot, before: ReferenceIndex, usages: Iterable[Usage], known: Mapping[str, tuple[str, ...] | None]
) -> dict[str, tuple[str, ...]]:
    """Container ID -> the images mounted in it: those that are `known` to be, else all that may be.

    Where nobody saw the container being made, the name may have moved since. Then every image that has the name now,
    or had it as far as was known `before` the listing, counts; and every image without a tag, which may have lost it.
    """
    had: dict[str, set[str]] = {}
    for usage in usages:
        for reference in usage.references if usage.present else ():
            had.setdefault(reference, set()).add(usage.image_id)
    now = ReferenceIndex()
    now.replace(snapshot.images)
    nameless = {image.id for image in snapshot.images if not image.references}

    def may_be(name: str) -> set[str]:
        meant = now.resolve(name)
        if meant is not None and _is_fixed(name, meant):
            return {meant}
        told = {image_id for image_id in (meant, before.resolve(name)) if image_id is not None}
        return told | had.get(familiar(name), set()) | nameless

    found = {}
    for container in snapshot.containers:
        images = known.get(container.id)
        if images is None:
            images = tuple(sorted(set[str]().union(*map(may_be, container.image_mounts))))
        found[container.id] = images
    return found


def _is_fixed(name: str, image_id: str) -> bool:
    """Whether a name is a digest or an ID, which no other image can take."""
    return "@" in name or image_id.removeprefix("sha256:").startswith(name.removeprefix("sha256:"))
