"""Unknown parts of a value. Two private characters mark such a part; the text between them is shown to people."""

from collections.abc import Callable

BEGIN, END = "\ue000", "\ue001"  # around an unknown part

Lookup = Callable[[str], str | None]  # returns the value of a variable; None if it is not set


def unknown(shown: str) -> str:
    """An unknown part that people see as this text."""
    return f"{BEGIN}{''.join(shown.split())[:60]}{END}"


def is_known(value: str) -> bool:
    """Whether no part of the value is unknown."""
    return BEGIN not in value


def shown(value: str) -> str:
    """The value without the marks, for people."""
    return value.replace(BEGIN, "").replace(END, "")


def clean(text: str) -> str:
    """The text with a question mark for each of the two private characters."""
    return text.replace(BEGIN, "?").replace(END, "?")


def without_marks(program: str) -> str:
    """A program that consists of values, without the marks: an unknown part becomes an unknown variable."""
    return program.replace(BEGIN, "").replace(END, "")
