"""Where the layers of images are on the engine's host, and whether they can be read from here."""

import os
from collections.abc import Mapping
from typing import Any

from agent.adapters.docker import json_values
from agent.adapters.engine import EngineInfo

DRIVERS = ("overlay2", "fuse-overlayfs")  # those that keep each layer as a folder with what it adds
LONGEST = 100_000  # characters; an image has at most 128 layers, and a folder's path some 100 characters


def named(inspected: Mapping[str, Any], root: str) -> tuple[str, ...]:
    """The folder of each layer, the topmost first, as an inspect names them; none unless there is one for each.

    They lie below the engine's own folder: nothing else on its host is a layer.
    """
    told = json_values.fields(json_values.fields(inspected.get("GraphDriver")).get("Data"))
    upper = json_values.text(told.get("UpperDir"))
    lower = json_values.text(told.get("LowerDir"), LONGEST)
    folders = tuple(filter(None, [upper, *lower.split(":")]))
    layers = json_values.texts(json_values.fields(inspected.get("RootFS")).get("Layers"), "layers")
    proper = root.startswith("/") and all(_is_below(folder, root) for folder in folders)
    return folders if upper and proper and len(folders) == len(layers) else ()


def _is_below(folder: str, root: str) -> bool:
    return folder.startswith(f"{root.rstrip('/')}/") and ".." not in folder.split("/")


def place(info: EngineInfo) -> str:
    """The folder that all layers of an engine are below."""
    return f"{info.root.rstrip('/')}/{info.driver}"


def why_not(info: EngineInfo) -> str:
    """Why layers cannot be read from here, and what to do; "" where they can."""
    if info.containerd_store:
        return "the containerd image store names no folders; `explain --look-inside IMAGE` reads one image by request"
    if info.driver not in DRIVERS or not info.root.startswith("/"):
        return f"the storage driver {info.driver or 'of this engine'} does not keep them in a form that is read here"
    try:
        with os.scandir(place(info)) as entries:
            next(entries, None)
    except FileNotFoundError:
        return f"{place(info)} is not there; where the agent runs in a container, mount {info.root} at the same path"
    except OSError as error:
        return f"{place(info)}: {error.strerror} for uid {os.geteuid()}; it takes root, or CAP_DAC_READ_SEARCH"
    return ""
