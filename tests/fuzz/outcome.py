"""What a reader made of an input."""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def of(read: Callable[[], T], *documented: type[Exception]) -> tuple[T | None, Exception | None]:
    """The value, or the documented exception that was raised. Any other exception is a find and is not caught."""
    try:
        return read(), None
    except documented as error:
        return None, error
