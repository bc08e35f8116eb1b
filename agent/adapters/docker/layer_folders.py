"""Where the layers of images are on the engine's host, as an inspect names them."""

from collections.abc import Mapping
from typing import Any

from agent.adapters.docker import json_values

LONGEST = 100_000  # characters; an image has at most 128 layers, and a folder's path some 100 characters


def parse(inspected: Mapping[str, Any], root: str) -> tuple[str, ...]:
    """The folder of each layer, topmost first, from an image's inspect; empty unless each layer has one.

    Paths outside the engine's own folder are rejected: nothing else on the host is a layer.
    """
    data = json_values.fields(json_values.fields(inspected.get("GraphDriver")).get("Data"))
    upper = json_values.text(data.get("UpperDir"))
    lower = json_values.text(data.get("LowerDir"), LONGEST)
    folders = tuple(filter(None, [upper, *lower.split(":")]))
    layers = json_values.texts(json_values.fields(inspected.get("RootFS")).get("Layers"), "layers")
    proper = root.startswith("/") and all(_is_below(folder, root) for folder in folders)
    return folders if upper and proper and len(folders) == len(layers) else ()


def _is_below(folder: str, root: str) -> bool:
    return folder.startswith(f"{root.rstrip('/')}/") and ".." not in folder.split("/")
