"""What a plan derives from the images of one listing alone, made once for each listing."""

from collections.abc import Mapping
from dataclasses import dataclass

from agent.core.images import isolation, layers
from agent.core.images.layers import LayerIndex
from agent.core.images.references import ReferenceIndex
from agent.core.model import Image
from agent.core.policy.parents import ParentGraph


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingFacts:
    """Layers, parents and readability of the images of one listing."""

    listed: tuple[Image, ...]  # the images that these facts were made of
    images: tuple[Image, ...]  # the same; those that cannot be read have no details
    by_id: Mapping[str, Image]
    parents: ParentGraph
    layer_index: LayerIndex  # of all images; copied before anything is released
    images_bytes: int  # of all layers, each counted once
    reclaimable: Mapping[str, int]  # image ID -> the bytes that its removal alone would free
    names: ReferenceIndex
    understated: bool  # the engine stores compressed bytes that it does not report

    @classmethod
    def of(cls, listed: tuple[Image, ...]) -> "ListingFacts":
        layer_index = LayerIndex(listed)
        images = isolation.readable(listed, layer_index.failures)
        names = ReferenceIndex()
        names.replace(images)
        return cls(
            listed=listed,
            images=images,
            by_id={image.id: image for image in images},
            parents=ParentGraph(images),
            layer_index=layer_index,
            images_bytes=layer_index.total_bytes,
            reclaimable={image.id: layer_index.reclaimable_bytes(image.id) for image in images},
            names=names,
            understated=layers.understated(images),
        )
