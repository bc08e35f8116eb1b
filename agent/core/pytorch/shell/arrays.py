"""The arrays of bash: `p=(numpy); p+=(torch); pip install "${p[@]}"`. The value of `p[@]` is the array `p`."""

import re
from collections.abc import Mapping, Sequence

from agent.core.pytorch.shell.unknown import is_known, unknown

BETWEEN = "\x1f"  # separates the words in the value of `$@`, and of an array
_ALL = re.compile(r'("?)\$\{([A-Za-z_]\w{0,80})\[([@*])\]\}("?)')
_PLAIN = re.compile(r"[\w./+=<>!~,@:-]+")
_MAY_CHANGE = frozenset(
    {"mapfile", "readarray", "unset", "declare", "typeset", "local", "readonly", "export", "printf"}
)


def assigned(name: str, new: Sequence[str] | None, appends: bool, values: Mapping[str, str | None]) -> dict[str, str]:
    """The values that an assignment to an array changes. `new` are the assigned words; None if they are unknown."""
    before = _words_of(name, values) if appends else []
    if new is None or before is None or not all(word and _PLAIN.fullmatch(word) for word in new):
        return {name: unknown(f"${name}"), f"{name}[@]": unknown(f"${name}")}
    words = [*before, *new]
    return {name: words[0] if words else "", f"{name}[@]": BETWEEN.join(words)}


def words(word: str, values: Mapping[str, str | None]) -> list[str] | None:
    """All words of `"${p[@]}"` or `${p[*]}`; None for any other word, or if they are unknown."""
    match = _ALL.fullmatch(word)
    if match is None or match[1] != match[4] or (match[1] and match[3] == "*") or f"{match[2]}[@]" not in values:
        return None
    return _words_of(match[2], values)


def _words_of(name: str, values: Mapping[str, str | None]) -> list[str] | None:
    if name not in values and f"{name}[@]" not in values:
        return None
    joined = values.get(f"{name}[@]")
    if joined is None or not is_known(joined):
        return None
    words = joined.split(BETWEEN) if joined else []
    # Another command may have set the variable since then.
    return words if values.get(name) == (words[0] if words else "") else None


def changed(command: Sequence[str], values: Mapping[str, str | None]) -> dict[str, str]:
    """The values that become unknown after a command that may change single words of an array."""
    if command[0] == "[" or not ("[" in command[0] or command[0] in _MAY_CHANGE):
        return {}
    text = " ".join(command)
    return {name: unknown(f"${name}") for name in values if name.endswith("[@]") and name[:-3] in text}
