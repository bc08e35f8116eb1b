"""Checks what a pin names: a reference in Docker's form, an image ID, or the beginning of one."""

import re

from agent.core.images.references import familiar

SHORTEST_ID = 12  # hex digits, as `docker images` shows them

_HEX = re.compile(r"[0-9a-f]+")
_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_REGISTRY = rf"(?:{_HOST}(?:\.{_HOST})*|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?"
_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
# Docker's own grammar. `familiar` has added the tag to a reference without one.
_REFERENCE = re.compile(
    rf"(?:{_REGISTRY}/)?{_PART}(?:/{_PART})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}}|@sha256:[0-9a-f]{{64}})"
)
_LONGEST = 512  # characters; Docker accepts 255 for the repository and 128 for the tag


def reference(text: str) -> str:
    """A reference in the form in which Docker lists it; "" for "".

    Raises ValueError, whose message says what to write, if no image can have that name.
    """
    name = text.strip()
    if not name:
        return ""
    if any(sign in name for sign in "*?"):
        raise ValueError("a pin names one image; write patterns into policy.protect or images.exclude")
    if _digits(name) is not None:
        raise ValueError("this reads as an image ID; write it as id, or as a reference with its tag")
    repository, at, digest = name.partition("@")
    listed = familiar(f"{repository}{at}{digest.lower()}")
    if len(listed) > _LONGEST or not _REFERENCE.fullmatch(listed):
        raise ValueError(
            "no image can have this name; write it like team/pytorch:2.9 or team/pytorch@sha256:<64 digits>"
        )
    return listed


def image_id(text: str) -> str:
    """An image ID, or at least its first 12 digits, as `sha256:...`; "" for "".

    Raises ValueError, whose message says what to write, for anything else.
    """
    if not text.strip():
        return ""
    digits = _digits(text)
    if digits is None:
        raise ValueError(
            f"this is not an image ID; write its {SHORTEST_ID} to 64 digits, as `docker images` shows them, "
            "or write a name as reference"
        )
    return f"sha256:{digits}"


def _digits(text: str) -> str | None:
    """The digits of an ID or of a sufficiently long beginning of one; None for any other text."""
    digits = text.strip().lower().removeprefix("sha256:")
    return digits if _HEX.fullmatch(digits) and SHORTEST_ID <= len(digits) <= 64 else None
