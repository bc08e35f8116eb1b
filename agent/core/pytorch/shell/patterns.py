"""Match shell patterns."""

from fnmatch import fnmatchcase

from agent.core.pytorch.shell.unknown import is_known

_LONGEST_PATTERN = 200  # characters; a longer pattern is not compared
_LONGEST_MATCHED = 2_000


def is_comparable(pattern: str, text: str) -> bool:
    """Whether the pattern is known, and both are short enough to be compared."""
    return is_known(pattern) and len(pattern) <= _LONGEST_PATTERN and len(text) <= _LONGEST_MATCHED


def matches(text: str, pattern: str) -> bool | None:
    """Whether a shell pattern matches the text; None if it is unknown."""
    if pattern == "*":
        return True
    if not is_known(text) or not is_comparable(pattern, text) or "(" in pattern or "[^" in pattern or "[:" in pattern:
        return None
    return fnmatchcase(text, pattern.replace("\\", ""))
