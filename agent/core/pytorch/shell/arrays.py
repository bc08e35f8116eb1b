"""The arrays of bash: `p=(numpy); p+=(torch); pip install "${p[@]}"`. An array `p` is kept as the value of `p[@]`."""

import re
from collections.abc import Mapping, Sequence

from agent.core.pytorch.shell.unknown import is_known, unknown

BETWEEN = "\x1f"  # between the words of `$@`, and of an array
_ALL = re.compile(r'("?)\$\{([A-Za-z_]\w{0,80})\[([@*])\]\}("?)')
_PLAIN = re.compile(r"[\w./+=<>!~,@:-]+")
_CHANGE = frozenset({"mapfile", "readarray", "unset", "declare", "typeset", "local", "readonly", "export", "printf"})


def assigned(name: str, found: Sequence[str] | None, appends: bool, values: Mapping[str, str | None]) -> dict[str, str]:
    """The values once an array has these words, or these words more; None: words that are not known."""
    before = _kept(name, values) if appends else []
    if found is None or before is None or not all(word and _PLAIN.fullmatch(word) for word in found):
        return {name: unknown(f"${name}"), f"{name}[@]": unknown(f"${name}")}
    words = [*before, *found]
    return {name: words[0] if words else "", f"{name}[@]": BETWEEN.join(words)}


def words(word: str, values: Mapping[str, str | None]) -> list[str] | None:
    """All words of `"${p[@]}"` or `${p[*]}`; None for any other word, and where they are not known."""
    match = _ALL.fullmatch(word)
    if match is None or match[1] != match[4] or (match[1] and match[3] == "*") or f"{match[2]}[@]" not in values:
        return None
    return _kept(match[2], values)


def _kept(name: str, values: Mapping[str, str | None]) -> list[str] | None:
    if name not in values and f"{name}[@]" not in values:
        return None
    joined = values.get(f"{name}[@]")
    if joined is None or not is_known(joined):
        return None
    found = joined.split(BETWEEN) if joined else []
    # Something else may have set the variable since then.
    return found if values.get(name) == (found[0] if found else "") else None


def changed(command: Sequence[str], values: Mapping[str, str | None]) -> dict[str, str]:
    """What is not known any more after a command that may change single words of an array."""
    if command[0] == "[" or not ("[" in command[0] or command[0] in _CHANGE):
        return {}
    text = " ".join(command)
    return {name: unknown(f"${name}") for name in values if name.endswith("[@]") and name[:-3] in text}
