"""Whether `docker commit` made an image. Pure.

No field records it. The following was measured on Docker 20.10, 26.1 and 28.5, with a graph driver and with the
containerd store:

- After a commit, the last line of history is the container's command, in the same form as the image's own command
  (unless `--change CMD` set another one), with the comment of `docker commit --message`.
- A builder's line is a Dockerfile instruction (BuildKit), or contains `#(nop)` (the classic builder).
- A RUN of the classic builder also leaves a command. With a graph driver, its `Config.Image` is the ID of the parent,
  whereas a commit has the name from which the container was created; and its host name is empty, whereas a commit has
  the container's. The containerd store records neither. Docker 28 records neither on any store and API version.

An image that cannot be distinguished from a commit counts as one: it may be the only copy.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

_INSTRUCTIONS = (
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD", "RUN",
    "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
)  # fmt: skip
_INSTRUCTION = re.compile(rf"(?:{'|'.join(_INSTRUCTIONS)})(?:\s|$)")
_NOT_RUN = " #(nop) "  # the classic builder's mark of a step that ran no command
_IMPORTED = "Imported from "  # the comment that `docker import` writes


def may_be_commit(inspected: Mapping[str, Any], history: Iterable[Mapping[str, Any]]) -> bool:
    """Whether `docker commit` made an image, or may have made it. `history`: newest first."""
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
    """A command in the form in which the history shows it."""
    return " ".join(map(str, command)) if isinstance(command, list) else str(command or "")
