"""Images that a build made, and images that were pulled, loaded or imported.

A build is a use of all images that it was built on; a pull, a load or an import is not. No event tells a build from a
mere tag, and some builds raise no event at all: so every image that shows up without a pull, load or import counts as
built.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

Layers = tuple[str, ...]  # diff IDs, base first


@dataclass(frozen=True, slots=True)
class PendingBuild:
    """An image that a build may have made; its layers are None where they are not known yet."""

    at: datetime
    layers: Layers | None


class ImageArrivals:
    """Images that came since the last listing. The next listing settles what they were built on."""

    def __init__(self) -> None:
        self._built: dict[str, PendingBuild] = {}
        self._imported: set[str] = set()

    @property
    def pending(self) -> bool:
        """Whether a build waits for a listing."""
        return bool(self._built)

    def layers_of(self, image_id: str) -> Layers | None:
        """The layers of a build that waits for a listing, where they are known."""
        build = self._built.get(image_id)
        return build.layers if build is not None else None

    def mark_imported(self, image_id: str) -> None:
        self._imported.add(image_id)

    def mark_built(self, image_id: str, build: PendingBuild) -> bool:
        """A build may have made this image. False where it was imported, as far as is known."""
        self._built[image_id] = build
        return image_id not in self._imported

    def settle(self, new: Iterable[str], at: datetime, *, first: bool) -> Mapping[str, PendingBuild]:
        """After a listing: the builds since the last one, by image ID.

        `new`: the images that the listing showed for the first time, `at` that time. At the very `first` listing all
        images are new, and nothing is known of how they came.
        """
        fresh = {image_id: PendingBuild(at, None) for image_id in new}
        built = {key: build for key, build in (fresh | self._built).items() if key not in self._imported}
        self._built, self._imported = {}, set()
        return {} if first else built
