"""The container by which `explain --look-inside` reads an image: made, never started, and removed.

It holds its image while it exists, like any container. To make and to remove it is no use of the image, as long as it
never ran; a container that is only called so gains nothing by it, for whatever runs is a use.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from agent.core.pytorch.version_file import Torch

LABEL = "torchkeeper.look-inside"
PREFIX = "torchkeeper-look-inside-"
NEVER_STARTED = "created"  # the state of a container until its first start
_TOKEN = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class LookedInside:
    """What a look found at the guessed paths, of which there were so many."""

    tried: int
    found: Mapping[str, Torch]


def name_of(token: str) -> str:
    """The name of the container of one look."""
    return PREFIX + token


def is_look(name: str, labels: Mapping[str, str]) -> bool:
    """Whether a container is called as such a container is: by its name, and by a label that repeats it."""
    token = labels.get(LABEL, "")
    return _TOKEN.fullmatch(token) is not None and name == name_of(token)


def is_no_use(action: str, name: str, labels: Mapping[str, str], state: str | None) -> bool:
    """Whether an event of a container is no use. `state`: the container's before it; None: it is not known."""
    made, removed = action == "create", action == "destroy" and state == NEVER_STARTED
    return (made or removed) and is_look(name, labels)
