"""Tracks which new images were built, and which were pulled, loaded or imported.

A build is a use of all images that it was built on; a pull, a load or an import is not. Docker's events do not
distinguish a build from a tag, and some builds raise no event at all. So every new image without a pull, load or import
counts as built.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

Layers = tuple[str, ...]  # diff IDs, base first


@dataclass(frozen=True, slots=True)
class PendingBuild:
    """An image that may have been built. `layers` is None if they are not known yet."""

    at: datetime
    layers: Layers | None


class ImageArrivals:
    """Images that arrived since the last listing. The next listing shows their base images."""

    def __init__(self) -> None:
        self._built: dict[str, PendingBuild] = {}
        self._imported: set[str] = set()

    @property
    def pending(self) -> bool:
        """Whether a build waits for a listing."""
        return bool(self._built)

    def layers_of(self, image_id: str) -> Layers | None:
        """The layers of a build that waits for a listing; None if unknown."""
        build = self._built.get(image_id)
        return build.layers if build is not None else None

    def mark_imported(self, image_id: str) -> None:
        self._imported.add(image_id)

    def mark_built(self, image_id: str, build: PendingBuild) -> bool:
        """Record that this image may have been built. Returns False if it is known to be pulled, loaded or imported."""
        self._built[image_id] = build
        return image_id not in self._imported

    def settle(self, new: Iterable[str], at: datetime, *, first: bool) -> Mapping[str, PendingBuild]:
        """Return the builds since the last listing, by image ID, and forget them.

        `new`: images listed for the first time; they count as built at `at`. Returns nothing for the `first` listing
        ever: all images are new then, and their origin is unknown.
        """
        fresh = {image_id: PendingBuild(at, None) for image_id in new}
        built = {key: build for key, build in (fresh | self._built).items() if key not in self._imported}
        self._built, self._imported = {}, set()
        return {} if first else built
