"""Builds the inventory of a host, small enough for one message."""

from collections.abc import Iterable

from agent.core.images import isolation
from agent.core.lint import linter
from agent.core.model import Class, Image
from agent.core.policy.decision import Action, Decision, Plan
from agent.core.protocol import new_events, payloads

NAMES_SHOWN = 50  # of one image; one with thousands of names would leave no room for the others
WARNINGS_SHOWN = 10

_RANK = {Class.PYTORCH: 0, Class.AMBIGUOUS: 1, Class.OTHER: 2}


def build(
    plan: Plan,
    host: str,
    disk: payloads.Disk,
    last: Iterable[tuple[payloads.Event, payloads.Event | None]],
) -> payloads.Inventory:
    """All images of a plan, and the last decisions with their outcome, cut to below MAX_PAYLOAD.

    PyTorch images come first, sorted by deadline. `images_left_out` counts images that are cut or cannot be encoded.
    At most NAMES_SHOWN names of one image are listed.
    """
    ranked = {item.image.id: item for item in sorted(plan.decisions, key=rank)}
    images = [item.image for item in ranked.values()]
    misleading = linter.warnings_by_image(linter.find(images, {key: item.verdict for key, item in ranked.items()}))

    def show(image: Image) -> payloads.InventoryImage:
        row = _image(ranked[image.id], misleading.get(image.id, ()))
        # raises if the payload could not be encoded
        " ".join((row.explanation, row.last_used_by, *row.references, *row.warnings)).encode()
        return _shortened(row)

    shown, failed = isolation.each(images, show)
    whole = payloads.Inventory(
        host=host,
        at=plan.at,
        disk=disk,
        totals=new_events.totals(plan),
        images=list(shown.values()),
        images_left_out=len(failed),
        decisions=[_last_decision(decision, outcome) for decision, outcome in last],
    )
    return _cut(whole)


def rank(item: Decision) -> tuple[object, ...]:
    """Sorts PyTorch images first, tagged before untagged, evictions before kept images, the earliest deadline first."""
    untagged = not item.image.references and not item.image.digests
    due = item.deadline.timestamp() if item.deadline else float("inf")
    return _RANK[item.verdict.kind], untagged, item.action is Action.KEEP, due, item.image.id


def _image(item: Decision, misleading: Iterable[str]) -> payloads.InventoryImage:
    """An image without fields that change with time alone, so that its payload changes only with the image."""
    image = new_events.inventory_image(item, misleading)
    fixed: dict[str, object] = {}
    if item.action is not Action.EVICT:
        fixed["explanation"] = ""
    if item.running:
        fixed |= {"last_used": item.recorded_use, "idle_since": None, "deadline": None}
    return image.model_copy(update=fixed)


def _shortened(row: payloads.InventoryImage) -> payloads.InventoryImage:
    more = len(row.references) - NAMES_SHOWN
    if more <= 0 and len(row.warnings) <= WARNINGS_SHOWN:
        return row
    warnings = [*row.warnings[:WARNINGS_SHOWN], *([f"{more} more names are not listed here"] if more > 0 else [])]
    return row.model_copy(update={"references": row.references[:NAMES_SHOWN], "warnings": warnings})


def _cut(inventory: payloads.Inventory) -> payloads.Inventory:
    """Halve the list of images until it fits."""
    images = inventory.images
    while images and len(inventory.encode()) > payloads.MAX_PAYLOAD:
        images = images[: len(images) // 2]
        left_out = len(inventory.images) + inventory.images_left_out - len(images)
        inventory = inventory.model_copy(update={"images": images, "images_left_out": left_out})
    return inventory


def _last_decision(decision: payloads.Event, outcome: payloads.Event | None) -> payloads.LastDecision:
    shown = payloads.LastDecision.of(payloads.DecisionData.model_validate(decision.data), decision.time)
    if outcome is not None:
        shown = shown.with_outcome(payloads.OutcomeData.model_validate(outcome.data))
    return shown.model_copy(update={"references": shown.references[:NAMES_SHOWN]})
