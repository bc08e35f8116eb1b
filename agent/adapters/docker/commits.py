"""Whether `docker commit` made an image. Pure.

No field says so. What the engine keeps was measured on 20.10, 26.1 and 28.5, on a graph driver and on the containerd
store:

- A commit's last line of history is the command of its container, as the image's own command has it (unless
  `--change CMD` set another), with the comment of `docker commit --message`.
- A builder's line is an instruction of a Dockerfile (BuildKit), or bears `#(nop)` (the classic one).
- A RUN of the classic builder leaves a command as well. On a graph driver its `Config.Image` is the ID of its parent,
  where a commit has the name that its container was created from; and it has no host name, where a commit has its
  container's. The containerd store keeps neither. Engine 28 keeps neither on any store, whatever the API version.

What cannot be told from a commit counts as one: it may exist nowhere else.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

_INSTRUCTIONS = (
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD", "RUN",
    "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
)  # fmt: skip
_INSTRUCTION = re.compile(rf"(?:{'|'.join(_INSTRUCTIONS)})(?:\s|$)")
_NOT_RUN = " #(nop) "  # the classic builder's mark of a step that ran nothing
_IMPORTED = "Imported from "  # the comment that `docker import` writes


def may_be_commit(inspected: Mapping[str, Any], history: Iterable[Mapping[str, Any]]) -> bool:
    """Whether an image was made by `docker commit`, or nothing shows that it was not. `history`: newest first."""
    last = next(iter(history), {})
    made_by, comment = str(last.get("CreatedBy") or ""), str(last.get("Comment") or "")
    config = inspected.get("Config") or {}
    if not made_by:
        return bool(inspected.get("Parent")) or not comment.startswith(_IMPORTED)
    if made_by == _line(config.get("Cmd")):
        return True
    if _INSTRUCTION.match(made_by) or _NOT_RUN in made_by:
        return False
    return bool(comment) or not _is_classic_run(inspected, config)


def _is_classic_run(inspected: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    parent = inspected.get("Parent")
    return bool(parent) and config.get("Image") == parent and config.get("Hostname") == ""


def _line(command: object) -> str:
    """A command as the history has it."""
    return " ".join(map(str, command)) if isinstance(command, list) else str(command or "")
