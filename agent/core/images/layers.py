"""Which bytes a removal would really free: those of layers that no other image has.

A layer lies on the disk once for each chain ID (itself and all below it), however many images hold it.
Measured on graph drivers: the sum of the history sizes of the freed chain IDs is within 0.13 MB of `du`.
The containerd store keeps each layer twice, unpacked and compressed, and gives both back.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable

from agent.core.images import isolation
from agent.core.model import Details, Image

_MOST_BYTES = 2**63 - 1  # what engines count in

Layers = list[tuple[str, int]]  # chain ID and bytes of each, base first


def chain_ids(layers: tuple[str, ...]) -> tuple[str, ...]:
    """The chain ID of each layer, base first: sha256(previous + " " + diff ID), the first its own diff ID."""
    chain: list[str] = []
    for diff in layers:
        joined = f"{chain[-1]} {diff}" if chain else ""
        chain.append("sha256:" + hashlib.sha256(joined.encode()).hexdigest() if joined else diff)
    return tuple(chain)


def layer_sizes(details: Details) -> tuple[int, ...] | None:
    """The bytes of each layer, base first, or None where the history does not tell.

    History has no mark for empty layers, so non-zero sizes are matched to layers in order; where their
    numbers differ (a layer that happens to hold 0 bytes, a truncated history), nothing sure can be said.
    """
    sizes = tuple(step.size_bytes for step in details.history if step.size_bytes > 0)
    return sizes if len(sizes) == len(details.layers) else None


def packed_sizes(images: Iterable[tuple[int, Layers]]) -> dict[str, int]:
    """Chain ID -> the compressed bytes of a layer, on a store that keeps them beside the unpacked ones.

    The engine reports them only for an image as a whole. Here each image's are shared among those of its layers that
    no smaller image has, in proportion to their unpacked bytes. So they are exact for what was built on an image that
    is here, and a guess where layers of one build compress differently and another image has only some of them.
    """
    found: dict[str, int] = {}
    for packed_bytes, layers in sorted(images, key=lambda item: _size_of(item[1])):
        own = {layer: size for layer, size in layers if layer not in found}
        rest = max(0, packed_bytes - sum(found.get(layer, 0) for layer, _ in layers))
        found.update({layer: rest * size // sum(own.values()) for layer, size in own.items()})
    return found


def _size_of(layers: Layers) -> tuple[int, int, str]:
    """Sorts what an image was built on before it."""
    return sum(size for _, size in layers), len(layers), layers[-1][0]


def understated(images: Iterable[Image]) -> bool:
    """Whether the engine keeps more of any of them than it reports."""
    return any(image.details is not None and image.details.packed_bytes is None for image in images)


def about(images: Iterable[Image]) -> str:
    """The word before an estimate of their bytes, for people."""
    return "at least" if understated(images) else "about"


class LayerIndex:
    """Who holds which layer. `release` takes images away, one after another, and tells what each frees."""

    def __init__(self, images: Iterable[Image]) -> None:
        images = tuple(images)
        self._layers, self.failures = isolation.each(
            images, _layers_of
        )  # failures: image ID -> why they cannot be read
        packed = {image.id: _packed_bytes(image) for image in images if image.id in self._layers}
        packed = {key: packed_bytes for key, packed_bytes in packed.items() if packed_bytes}
        sizes = packed_sizes((packed_bytes, self._layers[key]) for key, packed_bytes in packed.items())
        for key in packed:
            self._layers[key] = [(layer, size + sizes[layer]) for layer, size in self._layers[key]]
        self._holders = Counter(chain for layers in self._layers.values() for chain, _ in layers)

    def copy(self) -> "LayerIndex":
        """One of its own, to release from."""
        other = LayerIndex(())
        other._layers, other._holders = dict(self._layers), Counter(self._holders)
        return other

    def reclaimable_together(self, image_ids: Iterable[str]) -> int:
        """What images would free together: a layer that they share counts when its last holder goes."""
        alone = self.copy()
        return sum(alone.release(image_id) for image_id in image_ids)

    @property
    def total_bytes(self) -> int:
        """The bytes of all layers that any image holds, each once."""
        once: dict[str, int] = {}
        for chain, size in (layer for layers in self._layers.values() for layer in layers):
            once[chain] = max(size, once.get(chain, 0))  # where the history of one image does not tell
        return sum(once.values())

    def reclaimable_bytes(self, image_id: str) -> int:
        """The bytes of the layers that only this image holds now; 0 for an image that is not known."""
        layers = self._layers.get(image_id, [])
        return sum(size for chain, size in layers if self._holders[chain] == 1)

    def release(self, image_id: str) -> int:
        """Take an image away and tell what it freed: a shared layer counts when its last holder goes."""
        freed = self.reclaimable_bytes(image_id)
        self._holders.subtract(chain for chain, _ in self._layers.pop(image_id, []))
        return freed


def _layers_of(image: Image) -> Layers:
    if image.details is None:
        return []
    chain = chain_ids(image.details.layers)
    sizes = layer_sizes(image.details)
    if sum((image.size_bytes, image.details.packed_bytes or 0, *(sizes or ()))) > _MOST_BYTES:
        raise ValueError("its layers are larger than any disk")
    if sizes is None:  # count nothing but the whole, and only where not even its base is shared with anybody
        return [(layer, image.size_bytes) for layer in chain[:1]] + [(layer, 0) for layer in chain[1:]]
    return list(zip(chain, sizes, strict=True))


def _packed_bytes(image: Image) -> int:
    """Its compressed bytes, to be shared among its layers; 0 where it is counted as a whole, in which they are."""
    if image.details is None or not image.details.layers or layer_sizes(image.details) is None:
        return 0
    return image.details.packed_bytes or 0


def base_images(image_id: str, images: Iterable[Image]) -> tuple[str, ...]:
    """The images whose complete layers another image's begin with: those that it was built on, by any builder."""
    images = tuple(images)
    top = next((image for image in images if image.id == image_id and image.details is not None), None)
    if top is None or top.details is None:
        return ()
    mine = top.details.layers
    return tuple(
        image.id
        for image in images
        if image.id != image_id and image.details is not None and _begins(mine, image.details.layers)
    )


def _begins(layers: tuple[str, ...], base: tuple[str, ...]) -> bool:
    return bool(base) and layers[: len(base)] == base
