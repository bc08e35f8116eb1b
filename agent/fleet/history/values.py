"""Values as both databases accept them. Hosts send any number and any text, and a bad one must not stop a commit.

Numbers of bytes and counts have the bounds that the live fleet has; see `bounds`.
"""

import json
import math
from collections.abc import Sequence
from hashlib import blake2b

from agent.core import text as texts

LONGEST_SECONDS = 1e11  # about 3000 years
LONGEST_KEY = 200  # characters: PostgreSQL indexes no value above 2,700 bytes

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def text(value: str) -> str:
    """Without NUL, which PostgreSQL refuses, and without lone surrogates, which SQLite refuses, too."""
    if value.isascii() and "\0" not in value:
        return value
    return texts.writable(value).replace("\0", "\N{REPLACEMENT CHARACTER}")


def text_or_none(value: str | None) -> str | None:
    return None if value is None else text(value)


def key(value: str) -> str:
    """A text that is in an index. A long one is cut, and stays different from other long ones."""
    cleaned = text(value)
    if len(cleaned) <= LONGEST_KEY:
        return cleaned
    return f"{cleaned[:150]}…{blake2b(cleaned.encode(), digest_size=16).hexdigest()}"


def array(values: Sequence[str]) -> str:
    """A list of texts as a JSON array."""
    return text(_encode(list(values))) if values else "[]"


def document(value: object) -> str:
    """A JSON object, the same text for the same content."""
    return text(json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True))


def seconds(value: float) -> float:
    """0 for NaN, which SQLite stores as NULL."""
    return 0.0 if math.isnan(value) else min(max(value, -LONGEST_SECONDS), LONGEST_SECONDS)


def whole(value: int) -> int:
    """Any whole number in 64 bits."""
    return min(max(value, -(2**63)), 2**63 - 1)
