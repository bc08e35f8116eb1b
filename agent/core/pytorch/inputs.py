"""Variables that a build or a start may be given as an input: `PYTORCH_VERSION`.

pytorch/pytorch sets it to say what it has. A team may set it to say what is to be installed, and then nothing may be.
Where the image itself shows such a use, the variable tells what somebody meant, and not what is there.
"""

import re
from collections.abc import Iterator

from agent.core import model

# Bounded: a line of history may be 250 kB long, and hostile.
_LIBTORCH = re.compile(r"libtorch", re.IGNORECASE)  # the library for C++; torch itself brings no folder of that name
_TO_INSTALL = re.compile(r"torch\W{1,4}\$\{?PYTORCH_VERSION\b")
_AT_THE_START = re.compile(r"\binstall\b[^;&|]{0,200}torch")


def other_use(details: model.Details) -> bool:
    """Whether the image shows that its variable is an input: for libtorch, for a RUN line, or for each start.

    Asked only where no RUN line installed torch, or may have.
    """
    if any(_LIBTORCH.search(name) or _LIBTORCH.search(value) for name, value in details.env.items()):
        return True
    if any(_AT_THE_START.search(word) for word in (*details.entrypoint, *details.command)):
        return True
    return any(_TO_INSTALL.search(line) or _LIBTORCH.search(line) for line in _lines(details))


def _lines(details: model.Details) -> Iterator[str]:
    return (step.created_by for step in details.history if "torch" in step.created_by.lower())
