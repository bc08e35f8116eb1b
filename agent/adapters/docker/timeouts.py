"""How long a call to the engine may take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerTimeouts:
    """Time-outs in seconds."""

    call: float = 60.0  # a containerd store took 2.2 s to list 500 images
    connect: float = 10.0
    ping: float = 4.0
    list_pause: float = 0.1  # between two tries of a list
