"""The row of one present image, from what an inventory says about it."""

from hashlib import blake2b
from typing import Any

from agent.core.protocol import payloads
from agent.fleet.history import times, values
from agent.fleet.live import bounds


def of(image: payloads.InventoryImage) -> dict[str, Any]:
    """The row without its host and its image. It has a digest of all that the inventory says."""
    row: dict[str, Any] = {
        "names": values.array(image.references),
        "class": values.text(image.kind),
        "action": values.text(image.action),
        "reason": values.key(image.reason),
        "held_by": values.text_or_none(image.held_by),
        "explanation": values.text(image.explanation),
        "running": int(image.running),
        "last_used": times.to_ms_or_none(image.last_used),
        "last_used_by": values.text(image.last_used_by),
        "idle_since": times.to_ms_or_none(image.idle_since),
        "deadline": times.to_ms_or_none(image.deadline),
        "size": bounds.size(image.size_bytes),
        "estimated": bounds.size(image.estimated_bytes),
        "warnings": values.array(image.warnings),
    }
    said = repr((*row.values(), image.torch_version, image.accelerator))
    row["row_digest"] = blake2b(said.encode(errors="replace"), digest_size=8).digest()
    return row
