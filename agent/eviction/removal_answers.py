"""What the engine answers to the calls of a removal, held against what it was asked for.

A name may pass to another image between the last check and the call: the engine has no lock. Then it takes that
image, and only its answer tells.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from agent.core.images.layers import chain_ids
from agent.core.model import Image


@dataclass(slots=True)
class Answers:
    """The answers to one removal. `origins`: each image that was there, and what it can be pulled again by, if known.

    A graph driver names the layers of an image after it, by their chain IDs.
    """

    image: Image
    origins: Mapping[str, str | None]
    lacking: str = ""  # why they do not tell everything; "": they do
    _names: list[str] = field(default_factory=list)
    _ids: list[str] = field(default_factory=list)

    def take(self, untagged: Iterable[str], deleted: Iterable[str]) -> bool:
        """One more answer. True where anything else than the image and its own references was taken."""
        untagged, deleted = tuple(untagged), tuple(deleted)
        layers = self.image.details.layers if self.image.details is not None else ()
        own = {self.image.id, *layers, *chain_ids(layers)}
        ids = [one for one in deleted if one not in own]
        # Where another image went, and this one did not, the name that was asked for was that one's.
        others = bool(ids) and self.image.id not in deleted
        names = [name for name in untagged if others or name not in (*self.image.references, *self.image.digests)]
        self._names += names
        self._ids += ids
        return bool(names or ids)

    def lose(self, name: str) -> None:
        """A name had passed to another image, which lost it and has others: no answer tells of that."""
        self._names.append(name)

    @property
    def also_removed(self) -> tuple[str, ...]:
        """What else went: its names, the digest that it can be pulled again by, its image ID.

        Of an image that nobody had listed, the engine names the ID first, and then its layers.
        """
        images = [one for one in self._ids if one in self.origins] or self._ids[:1]
        origins = [origin for one in images if (origin := self.origins.get(one))]
        return tuple(dict.fromkeys([*self._names, *origins, *images]))
