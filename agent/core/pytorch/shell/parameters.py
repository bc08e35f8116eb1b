"""Expand `${NAME}` and its forms."""

import re
from collections.abc import Callable
from fnmatch import fnmatchcase

from agent.core.pytorch.shell import patterns
from agent.core.pytorch.shell.unknown import BEGIN, END, Lookup, is_known, unknown

Expand = Callable[[str], str]  # expands a word inside the braces, like `$B` in `${A:-$B}`

_BRACED = re.compile(r"(#?)([A-Za-z_][A-Za-z0-9_]*+|[@*?#0-9])(.*)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*+")
_NAMED = re.compile(r"[A-Za-z_][A-Za-z0-9_]*+|[1-9]")
_UNKNOWN = re.compile(f"{BEGIN}[^{END}]*+{END}?")


def braced(inner: str, look_up: Lookup, expand: Expand) -> str:
    """The value of `${inner}`. A form that is not simple has an unknown value."""
    if inner.startswith("!") and _NAME.fullmatch(inner[1:]):  # the value is the name of another variable
        other = look_up(inner[1:]) or ""
        return (look_up(other) or "") if _NAME.fullmatch(other) else unknown(f"${{{inner}}}")
    match = _BRACED.fullmatch(inner)
    if match is None or not _NAMED.fullmatch(match[2]):
        return unknown(f"${{{inner}}}")
    is_length, name, rest = match[1], match[2], match[3]
    value = look_up(name)
    if is_length or not rest:
        if not is_length:
            return value or ""
        return str(len(value or "")) if not rest and is_known(value or "") else unknown(f"${{{inner}}}")
    if choice := re.fullmatch(r"(:?)([-=+?])(.*)", rest, re.DOTALL):
        return _default(value, choice[1], choice[2], choice[3], expand)
    if value is None or not is_known(value):
        return unknown(f"${{{inner}}}") if value else ""
    return _edited(value, rest, expand)


def _default(value: str | None, colon: str, kind: str, word: str, expand: Expand) -> str:
    if value and not is_known(value) and not _UNKNOWN.sub("", value):  # it may be empty or not set
        return value if kind != "+" else unknown("${...+...}")
    is_set = bool(value) if colon else value is not None
    if kind == "+":
        return expand(word) if is_set else ""
    return (value or "") if is_set else expand(word)


def _edited(value: str, rest: str, expand: Expand) -> str:
    """The value of `${NAME%.*}`, `${NAME//a/b}` and `${NAME:0:2}` in their simple forms."""
    shown_as = unknown("${...}")
    if rest in ("^^", ",,"):
        return value.upper() if rest == "^^" else value.lower()
    if part := re.fullmatch(r":\s?([0-9]{1,4})(?::([0-9]{1,4}))?", rest):
        begin = int(part[1])
        return value[begin : begin + int(part[2])] if part[2] else value[begin:]
    if part := re.fullmatch(r"(##?|%%?)(.+)", rest, re.DOTALL):
        pattern = expand(part[2])
        return _trimmed(value, part[1], pattern) if patterns.is_comparable(pattern, value) else shown_as
    if part := re.fullmatch(r"(//?)([^/*?\[\\]+)(?:/(.*))?", rest, re.DOTALL):
        old, new = (expand(text or "") for text in (part[2], part[3]))
        if old and is_known(old):
            return value.replace(old, new) if part[1] == "//" else value.replace(old, new, 1)
    return shown_as


def _trimmed(value: str, kind: str, pattern: str) -> str:
    length = len(value)
    if length > 200:
        return unknown("${...}")
    ends = range(length + 1) if kind in ("#", "%%") else range(length, -1, -1)
    for end in ends:
        if kind[0] == "#" and fnmatchcase(value[:end], pattern):
            return value[end:]
        if kind[0] == "%" and fnmatchcase(value[end:], pattern):
            return value[:end]
    return value
