"""Each image by itself: an exception about one makes that image unknown and does not affect the others."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from agent.core import text, units
from agent.core.model import Image

LONGEST_FAILURE = 200  # characters

T = TypeVar("T")


def each(images: Iterable[Image], ask: Callable[[Image], T]) -> tuple[dict[str, T], dict[str, str]]:
    """Image ID -> answer, and image ID -> why there is none."""
    answers: dict[str, T] = {}
    failures: dict[str, str] = {}
    for image in images:
        try:
            answers[image.id] = ask(image)
        except Exception as error:  # of any kind: one image must not stop the others
            failures[image.id] = failure(error)
    return answers, failures


def readable(images: Iterable[Image], failures: Mapping[str, str]) -> tuple[Image, ...]:
    """The images as a plan can use them. Those that it cannot read, or that failed before, lose their details."""
    images = tuple(images)
    found = {**each(images, _read)[1], **failures}
    return tuple(_unreadable(image, found[image.id]) if image.id in found else image for image in images)


def _read(image: Image) -> None:
    """Read what a plan needs of an image, beside its layers. Raises where it cannot be read."""
    " ".join((image.parent, *image.references, *image.digests)).encode()
    units.format_bytes(image.size_bytes)
    if image.details is not None and image.details.created is not None:
        units.format_time(image.details.created)


def _unreadable(image: Image, why: str) -> Image:
    """The image without its details, and with names that can at least be written."""
    references, digests = (tuple(map(text.writable, names)) for names in (image.references, image.digests))
    return Image(id=image.id, references=references, digests=digests, unreadable=why)


def failure(error: Exception) -> str:
    """What went wrong, for people: one printable line of bounded length."""
    said = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
    return text.shortened(text.one_line(said[: 2 * LONGEST_FAILURE]), LONGEST_FAILURE)
