"""Shorter forms of a decision or outcome, for a broker that rejects the whole one as too large.

Every form keeps the ids, epoch, seq, action, reason, outcome and all numbers. The local history has the whole event.
"""

from collections.abc import Callable
from typing import Any

from agent.core.protocol import payloads

TEXT = 80  # characters of each text that are left
REFERENCES = 3  # references that are left

Data = dict[str, Any]


def shortened(payload: bytes, forms: int) -> bytes:
    """An encoded decision or outcome in one of its forms, from 0, the whole one, to FORMS, the shortest."""
    if not forms:
        return payload
    event = payloads.Event.model_validate_json(payload)
    data = event.data
    for cut in _CUTS[:forms]:
        data = cut(data)
    return event.model_copy(update={"data": {**data, "shortened": True}}).encode()


def _without_evidence(data: Data) -> Data:
    return {**data, "evidence": []} if "evidence" in data else data


def _with_short_texts(data: Data, most: int = TEXT) -> Data:
    texts = {name: data[name][:most] for name in ("explanation", "last_used_by", "error") if data.get(name)}
    return {**data, **texts}


def _with_few_references(data: Data, most: int = REFERENCES) -> Data:
    if "also_removed" in data:
        data = {**data, "also_removed": data["also_removed"][:most]}
    return _with_image(data, references=data.get("image", {}).get("references", [])[:most])


def _bare(data: Data) -> Data:
    return _with_image(_with_few_references(_with_short_texts(data, most=0), most=0), origin=None)


def _with_image(data: Data, **changed: object) -> Data:
    return {**data, "image": {**data["image"], **changed}} if "image" in data else data


_CUTS: tuple[Callable[[Data], Data], ...] = (_without_evidence, _with_short_texts, _with_few_references, _bare)
FORMS = len(_CUTS)
