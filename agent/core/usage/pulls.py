"""Which image a pull brought. Its event has the reference alone, and that may mean another image by now."""

from collections.abc import Iterable
from datetime import datetime

from agent.core.images.references import ReferenceIndex, familiar
from agent.core.usage.events import EngineEvent


def is_still(
    pull: EngineEvent, image_id: str, named_at: datetime, known: Iterable[EngineEvent], names: ReferenceIndex
) -> bool:
    """Whether the image that a pulled reference means now is the one that the pull brought.

    `named_at`: when the image surely got the reference. `known`: events, some of which followed the pull; whatever else
    has moved the reference since hides the answer. Only where the reference meant the same image before, another pull
    of it changes nothing. `names`: what references mean as of the events applied so far.
    """
    later = [event for event in known if event.time_ns > pull.time_ns and event.kind == "image"]
    moves = [event for event in later if _names(event) == familiar(pull.actor)]
    if any(event.action != "pull" for event in moves):
        return False
    if moves and names.resolve(pull.actor) != image_id:
        return False
    own_tags = [event for event in later if event.action == "tag" and event.actor == image_id]
    return named_at <= max(event.at for event in (pull, *moves, *own_tags))


def _names(event: EngineEvent) -> str:
    """The reference that an image event gives to an image, or takes from it; "" where the event does not have it."""
    if event.action == "pull":
        return familiar(event.actor)
    return familiar(event.name) if event.action in ("tag", "untag") and event.name else ""
