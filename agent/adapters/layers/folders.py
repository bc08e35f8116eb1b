"""Which folders on the engine's host are the layers of images, and whether this process can read them."""

import os

from agent.adapters.engine import EngineInfo

DRIVERS = ("overlay2", "fuse-overlayfs")  # storage drivers that keep each layer's own files in one folder


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
