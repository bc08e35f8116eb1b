"""The overrides: pins and the pause, with which an operator overrides the policy."""

from dataclasses import dataclass
from datetime import datetime

from agent.core.model import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """An order to keep an image, by reference and by ID."""

    id: str  # the image's ID when it was pinned, or its first digits if written by hand; "" if only a name was written
    reference: str  # the reference that the person wrote; "" if it was pinned by ID
    at: datetime
    until: datetime | None = None  # its end, also if it was unpinned; None: no end
    reason: str = ""
    by: str = ""  # the user who pinned it, as that user's system names them; "" if it was written by hand

    def over(self, now: datetime) -> bool:
        return self.until is not None and self.until <= now

    def means(self, image: Image) -> bool:
        """Whether it pins an image: the one that it named then, or the one with that name now.

        The beginning of an ID pins each image whose ID begins so.
        """
        by_id = bool(self.id) and image.id.startswith(self.id)
        return by_id or self.reference in image.all_references


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """Pins and the pause. If not `readable`, their file could not be read, and nothing is evicted."""

    pins: tuple[Pin, ...] = ()
    paused: bool = False
    paused_at: datetime | None = None
    paused_until: datetime | None = None
    pause_reason: str = ""
    paused_by: str = ""
    readable: bool = True

    def is_paused(self, now: datetime) -> bool:
        return self.paused and (self.paused_until is None or now < self.paused_until)
