"""The container with which `explain --look-inside` reads an image: created, never started, and removed.

While it exists, its image is in use, as with any container. Its creation and removal are not uses of the image, unless
it ran. So other people cannot hide uses by giving a container such a name: each run is a use.
"""

import re
from collections.abc import Mapping

LABEL = "torchkeeper.look-inside"
PREFIX = "torchkeeper-look-inside-"
NEVER_STARTED = "created"  # the state of a container until its first start
_TOKEN = re.compile(r"[0-9a-f]{16}")


def name_of(token: str) -> str:
    """The container name for one look inside an image."""
    return PREFIX + token


def is_look(name: str, labels: Mapping[str, str]) -> bool:
    """Whether a container has the name and the label of a look inside an image, and both contain the same token."""
    token = labels.get(LABEL, "")
    return _TOKEN.fullmatch(token) is not None and name == name_of(token)


def is_exempt(action: str, name: str, labels: Mapping[str, str], state: str | None) -> bool:
    """Whether a container's event is not a use. `state`: the container's state before the event; None if unknown."""
    made, removed = action == "create", action == "destroy" and state == NEVER_STARTED
    return (made or removed) and is_look(name, labels)
