"""Compares Docker's answers to the calls of a removal with what was requested.

Docker has no lock, so a name may move to another image between the last check and the call. Docker then removes that
image, and only its answer shows this.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from agent.core.images.layers import chain_ids
from agent.core.model import Image


@dataclass(slots=True)
class Answers:
    """The answers to one removal. `origins`: image ID -> the digest reference to pull it again, or None; of all images.

    With a graph driver, an answer lists the image's ID and then the chain IDs of its layers.
    """

    image: Image
    origins: Mapping[str, str | None]
    lacking: str = ""  # why the answers are incomplete; "" if they are complete
    _names: list[str] = field(default_factory=list)
    _ids: list[str] = field(default_factory=list)

    def take(self, untagged: Iterable[str], deleted: Iterable[str]) -> bool:
        """Add one answer. Returns True if it lists anything but the image, its layers and its own references."""
        untagged, deleted = tuple(untagged), tuple(deleted)
        layers = self.image.details.layers if self.image.details is not None else ()
        own = {self.image.id, *layers, *chain_ids(layers)}
        ids = [one for one in deleted if one not in own]
        # If another image was removed, and this one was not, the requested name belonged to the other image.
        others = bool(ids) and self.image.id not in deleted
        names = [name for name in untagged if others or name not in (*self.image.references, *self.image.digests)]
        self._names += names
        self._ids += ids
        return bool(names or ids)

    def lose(self, name: str) -> None:
        """Record a name that another image lost while it kept other names: no answer shows that."""
        self._names.append(name)

    @property
    def also_removed(self) -> tuple[str, ...]:
        """What else was removed: its names, the digest references to pull it again, its image IDs.

        For an image that was not listed before, the first ID of the answer is the image's; layers follow.
        """
        images = [one for one in self._ids if one in self.origins] or self._ids[:1]
        origins = [origin for one in images if (origin := self.origins.get(one))]
        return tuple(dict.fromkeys([*self._names, *origins, *images]))
