"""Decides which image a pull brought. Its event has only a reference, which may point to another image now."""

from collections.abc import Iterable
from datetime import datetime

from agent.core.images.references import ReferenceIndex, familiar
from agent.core.usage.events import EngineEvent


def is_still(
    pull: EngineEvent, image_id: str, named_at: datetime, known: Iterable[EngineEvent], names: ReferenceIndex
) -> bool:
    """Whether the pull brought the image that its reference points to now.

    `named_at`: the latest time at which the image may have got the reference. `known`: events, including later ones. If
    one of these moved the reference, the answer is False; another pull is harmless if the reference pointed to the same
    image before it. `names`: the references as of the events applied so far.
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
    """The reference that an image event adds or removes; "" if it does not contain one."""
    if event.action == "pull":
        return familiar(event.actor)
    return familiar(event.name) if event.action in ("tag", "untag") and event.name else ""
