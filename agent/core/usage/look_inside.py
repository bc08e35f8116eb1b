"""The container by which `explain --look-inside` reads an image: made, never started, and removed.

While it exists it keeps its image, like any container. To make it and to remove it does not count as a use of the
image, unless it ran. Somebody else's container of that name gains nothing by it: whatever runs is a use.
"""

import re
from collections.abc import Mapping

LABEL = "torchkeeper.look-inside"
PREFIX = "torchkeeper-look-inside-"
NEVER_STARTED = "created"  # the state of a container until its first start
_TOKEN = re.compile(r"[0-9a-f]{16}")


def name_of(token: str) -> str:
    """The name of the container of one look."""
    return PREFIX + token


def is_look(name: str, labels: Mapping[str, str]) -> bool:
    """Whether a container is called as such a container is: by its name, and by a label that repeats it."""
    token = labels.get(LABEL, "")
    return _TOKEN.fullmatch(token) is not None and name == name_of(token)


def is_exempt(action: str, name: str, labels: Mapping[str, str], state: str | None) -> bool:
    """Whether an event of a container does not count as a use. `state`: the container's before it; None: unknown."""
    made, removed = action == "create", action == "destroy" and state == NEVER_STARTED
    return (made or removed) and is_look(name, labels)
