"""Which folders on the engine's host are the layers of images, and whether this process can read them."""

import os
from collections.abc import Mapping
from typing import Any

from agent.adapters.docker import json_values
from agent.adapters.engine import EngineInfo

DRIVERS = ("overlay2", "fuse-overlayfs")  # storage drivers that keep each layer's own files in one folder
LONGEST = 100_000  # characters; an image has at most 128 layers, and a folder's path some 100 characters


def named(inspected: Mapping[str, Any], root: str) -> tuple[str, ...]:
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


def place(info: EngineInfo) -> str:
    """The folder that contains all layers of an engine."""
    return f"{info.root.rstrip('/')}/{info.driver}"


def why_not(info: EngineInfo) -> str:
    """Why this process cannot read layers, and what to do; "" if it can."""
    if info.containerd_store:
        return "the containerd image store reports no folders; `explain --look-inside IMAGE` reads one image on request"
    if info.driver not in DRIVERS or not info.root.startswith("/"):
        return f"the storage driver {info.driver or 'of this engine'} does not keep them in a form that can be read"
    try:
        with os.scandir(place(info)) as entries:
            next(entries, None)
    except FileNotFoundError:
        return f"{place(info)} does not exist; if the agent runs in a container, mount {info.root} at the same path"
    except OSError as error:
        return f"{place(info)}: {error.strerror} for uid {os.geteuid()}; it needs root or CAP_DAC_READ_SEARCH"
    return ""
