"""What `${NAME}` and its forms become."""

import re
from collections.abc import Callable
from fnmatch import fnmatchcase

from agent.core.pytorch.shell import patterns
from agent.core.pytorch.shell.unknown import BEGIN, END, Lookup, is_known, unknown

Expand = Callable[[str], str]  # the value of a word within the form, as in `${A:-$B}`

_BRACED = re.compile(r"(#?)([A-Za-z_][A-Za-z0-9_]*+|[@*?#0-9])(.*)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*+")
_NAMED = re.compile(r"[A-Za-z_][A-Za-z0-9_]*+|[1-9]")
_UNKNOWN = re.compile(f"{BEGIN}[^{END}]*+{END}?")


def braced(inner: str, look_up: Lookup, expand: Expand) -> str:
    """`${NAME}` and its forms. What is not one of the simple ones is unknown."""
    if inner.startswith("!") and _NAME.fullmatch(inner[1:]):  # the variable that this one names
        named = look_up(inner[1:]) or ""
        return (look_up(named) or "") if _NAME.fullmatch(named) else unknown(f"${{{inner}}}")
    match = _BRACED.fullmatch(inner)
    if match is None or not _NAMED.fullmatch(match[2]):
        return unknown(f"${{{inner}}}")
    is_length, name, rest = match[1], match[2], match[3]
    found = look_up(name)
    if is_length or not rest:
        if not is_length:
            return found or ""
        return str(len(found or "")) if not rest and is_known(found or "") else unknown(f"${{{inner}}}")
    if choice := re.fullmatch(r"(:?)([-=+?])(.*)", rest, re.DOTALL):
        return _default(found, choice[1], choice[2], choice[3], expand)
    if found is None or not is_known(found):
        return unknown(f"${{{inner}}}") if found else ""
    return _edited(found, rest, expand)


def _default(found: str | None, colon: str, kind: str, word: str, expand: Expand) -> str:
    if found and not is_known(found) and not _UNKNOWN.sub("", found):  # it may be empty, and it may not be set
        return found if kind != "+" else unknown("${...+...}")
    is_set = bool(found) if colon else found is not None
    if kind == "+":
        return expand(word) if is_set else ""
    return (found or "") if is_set else expand(word)


def _edited(found: str, rest: str, expand: Expand) -> str:
    """`${NAME%.*}`, `${NAME//a/b}` and `${NAME:0:2}`, where they are simple."""
    shown_as = unknown("${...}")
    if rest in ("^^", ",,"):
        return found.upper() if rest == "^^" else found.lower()
    if part := re.fullmatch(r":\s?([0-9]{1,4})(?::([0-9]{1,4}))?", rest):
        begin = int(part[1])
        return found[begin : begin + int(part[2])] if part[2] else found[begin:]
    if part := re.fullmatch(r"(##?|%%?)(.+)", rest, re.DOTALL):
        pattern = expand(part[2])
        return _trimmed(found, part[1], pattern) if patterns.is_comparable(pattern, found) else shown_as
    if part := re.fullmatch(r"(//?)([^/*?\[\\]+)(?:/(.*))?", rest, re.DOTALL):
        old, new = (expand(text or "") for text in (part[2], part[3]))
        if old and is_known(old):
            return found.replace(old, new) if part[1] == "//" else found.replace(old, new, 1)
    return shown_as


def _trimmed(found: str, kind: str, pattern: str) -> str:
    length = len(found)
    if length > 200:
        return unknown("${...}")
    ends = range(length + 1) if kind in ("#", "%%") else range(length, -1, -1)
    for end in ends:
        if kind[0] == "#" and fnmatchcase(found[:end], pattern):
            return found[end:]
        if kind[0] == "%" and fnmatchcase(found[end:], pattern):
            return found[:end]
    return found
