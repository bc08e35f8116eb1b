"""Texts for people: names from outside made safe to print, and spans of time."""

import unicodedata
from datetime import datetime, timedelta

from rich.markup import escape

from agent.core import units

# Controls, formats (some reverse the direction of text), surrogates, private use, unassigned, and line separators.
_UNPRINTABLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def clean(text: str) -> str:
    """Text from outside with `?` for each character that a terminal would obey."""
    if text.isascii() and text.isprintable():
        return text
    return "".join("?" if unicodedata.category(char) in _UNPRINTABLE else char for char in text)


def sanitize(text: str) -> str:
    """Text from outside, clean, and with its markup escaped."""
    return escape(clean(text))


def ago(at: datetime, now: datetime) -> str:
    return largest(now - at) + " ago"


def largest(span: timedelta) -> str:
    """A time span in its largest unit only, like `3 d`; `0 s` for a negative span, from a clock that is ahead."""
    seconds = max(0, int(span.total_seconds()))
    return " ".join(units.format_duration(timedelta(seconds=seconds)).split()[:2])
