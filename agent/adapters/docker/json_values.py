"""The engine's answers as plain values. They contain labels and names from outside, so any value may have any type.

`text`, `items` and `fields` treat a value of another type as missing. `identifier`, `texts`, `rows` and `whole` raise
ValueError for it: they are for what must not be missing.
"""

import json
import re
import sys
from typing import Any, NoReturn

from agent.core.text import shortened, writable

# What reading a value of an unexpected shape raises; whoever reads one image or one row catches these, and only these.
UNREADABLE = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)

LONGEST_TEXT = 1_000  # characters of a name or a label of a container; an engine's own names have under 400
_MOST_BYTES = 2**63 - 1  # what the engine counts bytes in
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+-]{0,199}")


def parsed(document: str | bytes) -> Any:
    """A JSON document, with only such text as UTF-8 can write. Raises ValueError for anything else."""
    written = document.decode(errors="replace") if isinstance(document, bytes) else document
    try:
        value = _DECODER.decode(written)
        return _writable(value) if "\\ud" in written or "\\uD" in written else value
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number in JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def _writable(value: Any) -> Any:
    if isinstance(value, str):
        return writable(value)
    if isinstance(value, list):
        return [_writable(item) for item in value]
    if isinstance(value, dict):
        return {_writable(key): _writable(item) for key, item in value.items()}
    return value


# Lenient: "" and nothing for what is missing or of another type


def text(value: object, longest: int = LONGEST_TEXT) -> str:
    """A text, its beginning with "…" where it is longer."""
    return shortened(value, longest) if isinstance(value, str) else ""


def items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def fields(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


# Strict: ValueError for what is of another type; a missing list is an empty one


def identifier(value: object) -> str:
    """The ID of an image or a container."""
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise ValueError("it has no ID that can be read")
    return value


def texts(value: object, what: str, most: int = sys.maxsize, longest: int = sys.maxsize) -> list[str]:
    """A list of texts, none of them longer, and not more of them."""
    found = _list(value, what)
    if len(found) > most:
        raise ValueError(f"it has {len(found)} {what}, and more than {most} are not read")
    if not all(isinstance(item, str) and len(item) <= longest for item in found):
        raise ValueError(f"one of its {what} is not a text, or longer than {longest} characters")
    return found


def rows(value: object, what: str) -> list[dict[str, Any]]:
    found = _list(value, what)
    if not all(isinstance(item, dict) for item in found):
        raise ValueError(f"one of its {what} cannot be read")
    return found


def _list(value: object, what: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"its {what} are not a list")
    return value


def whole(value: object) -> int:
    """A number of bytes; 0 for none, and for the -1 that stands for "not known"."""
    if value is None:
        return 0
    if not isinstance(value, int | float) or not abs(value) <= _MOST_BYTES:
        raise ValueError("its size is not a number of bytes")
    return max(0, int(value))
