"""Reads values from the engine's JSON. It contains labels and names from outside, so any value may have any type.

`text`, `items` and `fields` treat a value of another type as missing. `identifier`, `texts`, `rows` and `whole` raise
ValueError for it: they read values that must not be missing.
"""

import json
import re
import sys
from typing import Any, NoReturn

from agent.core.text import shortened, writable

# The errors that a value of an unexpected shape can raise; code that reads one image or one row catches only these.
UNREADABLE = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)

LONGEST_TEXT = 1_000  # characters of a name or a container's label; Docker's own names have under 400
_MOST_BYTES = 2**63 - 1  # the largest number of bytes that the engine can count
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+-]{0,199}")


def parsed(document: str | bytes) -> Any:
    """Parse a JSON document; lone surrogates in its text are replaced. Raises ValueError if it is not JSON."""
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


# Lenient: an empty value for one that is missing or of another type


def text(value: object, longest: int = LONGEST_TEXT) -> str:
    """A text; a longer one is cut and ends with "…"."""
    return shortened(value, longest) if isinstance(value, str) else ""


def items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def fields(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


# Strict: ValueError for a value of another type; a missing list is an empty one


def identifier(value: object) -> str:
    """The ID of an image or a container. Raises ValueError."""
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise ValueError("it has no valid ID")
    return value


def texts(value: object, what: str, most: int = sys.maxsize, longest: int = sys.maxsize) -> list[str]:
    """A list of at most `most` texts of at most `longest` characters each. Raises ValueError, which names `what`."""
    values = _list(value, what)
    if len(values) > most:
        raise ValueError(f"it has {len(values)} {what}, and more than {most} are not read")
    if not all(isinstance(item, str) and len(item) <= longest for item in values):
        raise ValueError(f"one of its {what} is not a text, or longer than {longest} characters")
    return values


def rows(value: object, what: str) -> list[dict[str, Any]]:
    """A list of JSON objects. Raises ValueError, which names `what`."""
    objects = _list(value, what)
    if not all(isinstance(item, dict) for item in objects):
        raise ValueError(f"one of its {what} cannot be read")
    return objects


def _list(value: object, what: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"its {what} are not a list")
    return value


def whole(value: object) -> int:
    """A number of bytes; 0 if it is missing, or -1, which stands for "unknown". Raises ValueError."""
    if value is None:
        return 0
    if not isinstance(value, int | float) or not abs(value) <= _MOST_BYTES:
        raise ValueError("its size is not a number of bytes")
    return max(0, int(value))
