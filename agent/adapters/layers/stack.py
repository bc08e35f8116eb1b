"""Combines the layers of an image: which torch would a container of it see?"""

import time
from collections.abc import Callable, Sequence

from agent.adapters.layers import files as layer_files
from agent.adapters.layers import walk as layer_walk
from agent.adapters.layers.walk import Layer
from agent.core.pytorch import layer_probe
from agent.core.pytorch.layer_probe import LayerProbe
from agent.core.pytorch.version_file import Torch

LAYERS = 500  # of one image; an overlay takes 128
SECONDS = 60.0  # for one image; 15,000 folders took 1.5 s with a cold cache
REMEMBERED = 5000  # layers in the cache; images share their lower ones
TorchesByPath = dict[str, tuple[int, Torch]]  # path -> the number of the layer from the base, and the content


class Reader:
    """Reads the layers of images, and each layer only once."""

    def __init__(self, read: Callable[[str, float], Layer] = layer_walk.read) -> None:
        self._read = read
        self._layers: dict[str, Layer] = {}

    def probe(self, folders: Sequence[str]) -> LayerProbe:
        """Probe an image with these layer folders, topmost first. Never raises, whatever the layers contain."""
        if not 0 < len(folders) <= LAYERS:
            return layer_probe.unknown("the engine reports no folders for it, or too many")
        until = time.monotonic() + SECONDS
        seen: TorchesByPath = {}
        doubts: list[str] = []
        for depth, folder in enumerate(folders):
            layer, number = self._layer(folder, until), len(folders) - depth
            if layer.doubt:
                doubts.append(f"layer {number}: {layer.doubt}")
            for path in sorted(layer.torches, key=_most_likely):
                if time.monotonic() > until:  # each check reads every layer above
                    doubts.append(f"layer {number}: the time limit for the image passed before it was read")
                    break
                self._record(seen, doubts, path, (number, layer.torches[path]), folders[:depth])
        if seen:
            return layer_probe.found(seen)
        return layer_probe.unknown(doubts[0]) if doubts else layer_probe.NOTHING

    def _layer(self, folder: str, until: float) -> Layer:
        """A layer, read once. One that was cut off by the time limit is read again for the next image that has it."""
        known = self._layers.get(folder)
        if known is not None:
            return known
        layer = self._read(folder, until)
        if not layer.late:
            self._layers[folder] = layer
            for old in list(self._layers)[:-REMEMBERED]:
                del self._layers[old]
        return layer

    def _record(
        self, seen: TorchesByPath, doubts: list[str], path: str, numbered: tuple[int, Torch], above: Sequence[str]
    ) -> None:
        """Add a torch to `seen` unless a layer above hides it."""
        try:
            if not any(layer_files.hides(folder, path) for folder in above):
                seen[path] = numbered
        except layer_files.UnsureError as unsure:
            doubts.append(str(unsure))
        except OSError as error:
            doubts.append(f"{path}: {layer_walk.describe_error(error)}")


def _most_likely(path: str) -> tuple[bool, str]:
    """Sort key: of several torches in a layer, one in a packages folder comes first."""
    return path.split("/")[-3] not in layer_walk.PACKAGES, path
