"""References (the names of images), and the image that each one points to."""

import re
from collections.abc import Iterable

from agent.core.model import Image

_HEX = re.compile(r"[0-9a-f]{4,64}")


def short(name: str) -> str:
    """An image's name without `docker.io/library/`."""
    for prefix in ("docker.io/", "index.docker.io/"):
        name = name.removeprefix(prefix)
    return name.removeprefix("library/")


def familiar(name: str) -> str:
    """Docker's short form of a reference: without `docker.io/library/`, and with either a tag or a digest."""
    name = short(name)
    repository, at, digest = name.partition("@")
    last = repository.rsplit("/", 1)[-1]
    if at:
        return f"{repository[: -len(last)]}{last.split(':')[0]}@{digest}"
    return name if ":" in last else f"{name}:latest"


def repository(reference: str) -> str:
    """A reference without its tag or digest."""
    name = reference.partition("@")[0]
    return name.rpartition(":")[0] if ":" in name.rsplit("/", 1)[-1] else name


class ReferenceIndex:
    """Reference, digest reference or ID -> image ID, as of the events applied so far."""

    def __init__(self) -> None:
        self._by_name: dict[str, str] = {}
        self._ids: set[str] = set()

    def add(self, image_id: str, names: Iterable[str]) -> None:
        self._ids.add(image_id)
        self._by_name.update(dict.fromkeys(names, image_id))

    def point(self, reference: str, image_id: str) -> str | None:
        """Point a reference at an image. Returns the other image at which it pointed before, if any."""
        before = self._by_name.get(reference)
        self.add(image_id, [reference])
        return before if before != image_id else None

    def remove(self, reference: str) -> None:
        self._by_name.pop(reference, None)

    def invalidate(self) -> None:
        """Forget all references: after blind time they may point to other images. IDs stay valid."""
        self._by_name.clear()

    def replace(self, images: Iterable[Image]) -> None:
        """Take all references from a listing. IDs of deleted images stay known, for uses that are reported late."""
        self._by_name.clear()
        for image in images:
            self.add(image.id, (*image.references, *image.digests))

    def resolve(self, name: str) -> str | None:
        """The ID for a name that a client used, by Docker's rules: an ID, else a reference, else a prefix of an ID."""
        full = name if name.startswith("sha256:") else f"sha256:{name}"
        if full in self._ids:
            return full
        known = self._by_name.get(familiar(name))
        if known is not None:
            return known
        prefix = full.removeprefix("sha256:")
        if not _HEX.fullmatch(prefix):
            return None
        candidates = [image_id for image_id in self._ids if image_id.removeprefix("sha256:").startswith(prefix)]
        return candidates[0] if len(candidates) == 1 else None
