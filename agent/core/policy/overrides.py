"""Overrides: the pins and the pause, by which an operator overrides the policy."""

from dataclasses import dataclass
from datetime import datetime

from agent.core.model import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A promise to keep an image, by reference and by ID."""

    id: str  # the image's ID when it was pinned, or its first digits, written by hand; "" where only a name was written
    reference: str  # what the person wrote, as a reference; "" where it was pinned by ID
    at: datetime
    until: datetime | None = None  # its end, also that of one taken back; None: for good
    reason: str = ""

    def over(self, now: datetime) -> bool:
        return self.until is not None and self.until <= now

    def means(self, image: Image) -> bool:
        """By what it named then, and by what that name is now. The start of an ID means every image that has it."""
        by_id = bool(self.id) and image.id.startswith(self.id)
        return by_id or self.reference in image.all_references


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """Pins and the pause. `readable` is False where their file could not be read: then nothing is evicted."""

    pins: tuple[Pin, ...] = ()
    paused: bool = False
    paused_at: datetime | None = None
    paused_until: datetime | None = None
    pause_reason: str = ""
    readable: bool = True
