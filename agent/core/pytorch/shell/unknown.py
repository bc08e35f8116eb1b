"""Parts of a value that cannot be known: two private characters around the text that is shown."""

from collections.abc import Callable

BEGIN, END = "\ue000", "\ue001"  # around an unknown part

Lookup = Callable[[str], str | None]  # the value of a variable, None where it is not set


def unknown(shown: str) -> str:
    """An unknown part that is shown like this."""
    return f"{BEGIN}{''.join(shown.split())[:60]}{END}"


def is_known(value: str) -> bool:
    return BEGIN not in value


def shown(value: str) -> str:
    """The value as people read it."""
    return value.replace(BEGIN, "").replace(END, "")


def clean(text: str) -> str:
    """The text without the two characters that mean an unknown part."""
    return text.replace(BEGIN, "?").replace(END, "?")


def without_marks(program: str) -> str:
    """A program that was put together from values: an unknown part of it becomes a variable that is not known."""
    return program.replace(BEGIN, "").replace(END, "")
