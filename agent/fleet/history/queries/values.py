"""Values of columns as values of documents, and back."""

import json
import re
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import ColumnElement

from agent.fleet.history import times
from agent.fleet.history.tables import images

LARGEST = 2**63 - 1  # what a BIGINT takes
ID_DIGITS = 12  # the shortest beginning of an image ID that names an image, as `docker images` shows it

_ID = re.compile(r"(?:sha256:)?([0-9a-f]{12,64})")
_PULLABLE = re.compile(r"[a-z0-9][a-zA-Z0-9._:/-]*@sha256:[0-9a-f]{64}")


def maybe(value: int | None) -> datetime | None:
    return None if value is None else times.from_ms(value)


def texts(column: str) -> list[str]:
    """A column that is a JSON array of texts."""
    return [str(item) for item in json.loads(column)]


def pull(origin: str | None, references: Iterable[str] = ()) -> str | None:
    """The command that brings an image back, by its digest. None without a digest reference.

    An agent sends what it likes, and people paste this into a shell: anything but a plain reference gives None.
    """
    for reference in (origin, *references):
        if reference is not None and _PULLABLE.fullmatch(reference):
            return f"docker pull {reference}"
    return None


def image_id(text: str) -> str:
    """The digits of an image ID, or its beginning. Raises ValueError for anything else and for fewer than ID_DIGITS."""
    match = _ID.fullmatch(text)
    if match is None:
        raise ValueError(f"is not an image ID; write sha256: and its 64 digits, or at least the first {ID_DIGITS}")
    return match[1]


def has_id(digits: str) -> ColumnElement[bool]:
    """The condition that an image ID begins with these digits. A range, unlike LIKE, uses the index everywhere."""
    return images.c.digest.between(f"sha256:{digits}", f"sha256:{digits}g")  # g sorts after all hex digits
