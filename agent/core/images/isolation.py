"""Judge each image separately: an exception makes only its own image unknown."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from agent.core import text, units
from agent.core.model import Image

LONGEST_FAILURE = 200  # characters

T = TypeVar("T")


def each(images: Iterable[Image], function: Callable[[Image], T]) -> tuple[dict[str, T], dict[str, str]]:
    """Call the function for each image. Return image ID -> result, and image ID -> error message."""
    results: dict[str, T] = {}
    failures: dict[str, str] = {}
    for image in images:
        try:
            results[image.id] = function(image)
        except Exception as error:  # of any kind: one image must not stop the others
            failures[image.id] = failure(error)
    return results, failures


def readable(images: Iterable[Image], failures: Mapping[str, str]) -> tuple[Image, ...]:
    """The images, without the details of each image that a plan cannot read or that is in `failures`.

    `failures` maps image ID -> error message.
    """
    images = tuple(images)
    errors = {**each(images, _read)[1], **failures}
    return tuple(_unreadable(image, errors[image.id]) if image.id in errors else image for image in images)


def _read(image: Image) -> None:
    """Read the values of an image that a plan needs, except its layers. Raises if one cannot be read."""
    " ".join((image.parent, *image.references, *image.digests)).encode()
    units.format_bytes(image.size_bytes)
    if image.details is not None and image.details.created is not None:
        units.format_time(image.details.created)


def _unreadable(image: Image, why: str) -> Image:
    """The image without its details. Its names can be encoded as UTF-8."""
    references, digests = (tuple(map(text.writable, names)) for names in (image.references, image.digests))
    return Image(id=image.id, references=references, digests=digests, unreadable=why)


def failure(error: Exception) -> str:
    """The error as a message for people: one printable line of at most LONGEST_FAILURE characters."""
    message = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
    return text.shortened(text.one_line(message[: 2 * LONGEST_FAILURE]), LONGEST_FAILURE)
