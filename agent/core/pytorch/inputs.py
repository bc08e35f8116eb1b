"""Variables that may be an input of a build or of a start script, like `PYTORCH_VERSION`.

pytorch/pytorch sets this variable to the version that it contains. A team may set it to the version that a script
should install, and perhaps nothing was installed. If the image shows such a use, the variable shows an intended
version, not an installed one.
"""

import re
from collections.abc import Iterator

from agent.core import model

# The patterns are bounded: a line of history may be 250 kB long, and hostile.
_LIBTORCH = re.compile(r"libtorch", re.IGNORECASE)  # the C++ library; torch itself has no folder with that name
_TO_INSTALL = re.compile(r"torch\W{1,4}\$\{?PYTORCH_VERSION\b")
_INSTALLED_AT_START = re.compile(r"\binstall\b[^;&|]{0,200}torch")


def other_use(details: model.Details) -> bool:
    """Whether the image shows that the variable is an input: for libtorch, for a RUN line, or for the start command.

    Call this only if no RUN line installed torch or may have installed it.
    """
    if any(_LIBTORCH.search(name) or _LIBTORCH.search(value) for name, value in details.env.items()):
        return True
    if any(_INSTALLED_AT_START.search(word) for word in (*details.entrypoint, *details.command)):
        return True
    return any(_TO_INSTALL.search(line) or _LIBTORCH.search(line) for line in _lines_about_torch(details))


def _lines_about_torch(details: model.Details) -> Iterator[str]:
    return (step.created_by for step in details.history if "torch" in step.created_by.lower())
