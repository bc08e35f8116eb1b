"""Images mounted in containers with `--mount type=image`, for which Docker reports only a name and no image ID."""

from collections.abc import Iterable, Mapping

from agent.core.images.references import ReferenceIndex, familiar
from agent.core.model import Snapshot, Usage


def mounted(
    snapshot: Snapshot, before: ReferenceIndex, usages: Iterable[Usage], known: Mapping[str, tuple[str, ...] | None]
) -> dict[str, tuple[str, ...]]:
    """Container ID -> the IDs of the images mounted in it: the `known` ones, else all that may be mounted.

    If the agent did not see the container's creation, the name may point to another image since. Then the result has
    each image with that name now or `before` the listing, and each image without a tag, which may have lost the name.
    """
    had: dict[str, set[str]] = {}
    for usage in usages:
        for reference in usage.references if usage.present else ():
            had.setdefault(reference, set()).add(usage.image_id)
    now = ReferenceIndex()
    now.replace(snapshot.images)
    nameless = {image.id for image in snapshot.images if not image.references}

    def candidates(name: str) -> set[str]:
        present = now.resolve(name)
        if present is not None and _is_fixed(name, present):
            return {present}
        resolved = {image_id for image_id in (present, before.resolve(name)) if image_id is not None}
        return resolved | had.get(familiar(name), set()) | nameless

    mounted_images = {}
    for container in snapshot.containers:
        images = known.get(container.id)
        if images is None:
            images = tuple(sorted(set[str]().union(*map(candidates, container.image_mounts))))
        mounted_images[container.id] = images
    return mounted_images


def _is_fixed(name: str, image_id: str) -> bool:
    """Whether a name is a digest or an ID, which can never point to another image."""
    return "@" in name or image_id.removeprefix("sha256:").startswith(name.removeprefix("sha256:"))
