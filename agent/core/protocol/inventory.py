"""Builds the inventory of a host, small enough for one message."""

from collections.abc import Iterable, Mapping

from agent.core.images import isolation
from agent.core.lint import linter
from agent.core.model import Class, Image, Verdict
from agent.core.policy.decision import Action, Decision, Plan
from agent.core.protocol import new_events, payloads

NAMES_SHOWN = 50  # of one image; one with thousands of names would leave no room for the others
WARNINGS_SHOWN = 10

_RANK = {Class.PYTORCH: 0, Class.AMBIGUOUS: 1, Class.OTHER: 2}


Last = Iterable[tuple[payloads.Event, payloads.Event | None]]  # decisions with their outcomes, the latest first


def build(plan: Plan, host: str, disk: payloads.Disk, last: Last) -> payloads.Inventory:
    """The inventory of one plan (`InventoryBuilder`)."""
    return InventoryBuilder().build(plan, host, disk, last)


class InventoryBuilder:
    """Builds one inventory after the other. What did not change since the last one is not made again."""

    def __init__(self) -> None:
        self._linted: tuple[tuple[Image, ...], tuple[Verdict, ...]] = ((), ())
        self._misleading: Mapping[str, tuple[str, ...]] = {}  # image ID -> the warnings about its names
        self._rows: dict[str, tuple[Decision, payloads.InventoryImage]] = {}

    def build(self, plan: Plan, host: str, disk: payloads.Disk, last: Last) -> payloads.Inventory:
        """All images of a plan, and the last decisions with their outcome, cut to below MAX_PAYLOAD.

        PyTorch images come first, sorted by deadline. `images_left_out` counts images that are cut or cannot be
        encoded. At most NAMES_SHOWN names of one image are listed.
        """
        self._lint(plan)
        ranked = {item.image.id: item for item in sorted(plan.decisions, key=rank)}
        shown, failed = isolation.each(
            [item.image for item in ranked.values()], lambda image: self._row(ranked[image.id])
        )
        self._rows = {key: (ranked[key], row) for key, row in shown.items()}
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

    def _lint(self, plan: Plan) -> None:
        """Find misleading names; they depend on all images and verdicts, so any change of these drops all rows."""
        images, verdicts = tuple(item.image for item in plan.decisions), tuple(item.verdict for item in plan.decisions)
        if (images, verdicts) == self._linted:
            return
        by_id = {item.image.id: item.verdict for item in plan.decisions}
        self._misleading = linter.warnings_by_image(linter.find(images, by_id))
        self._linted, self._rows = (images, verdicts), {}

    def _row(self, item: Decision) -> payloads.InventoryImage:
        """The row of an image. Raises if it could not be encoded."""
        before = self._rows.get(item.image.id)
        if before is not None and before[0] is item:
            return before[1]
        row = _image(item, self._misleading.get(item.image.id, ()))
        " ".join((row.explanation, row.last_used_by, *row.references, *row.warnings)).encode()
        return _shortened(row)


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
    """Leave out images from the end until it fits: by the share that is too much, and some more."""
    images = inventory.images
    while images and (size := len(inventory.encode())) > payloads.MAX_PAYLOAD:
        images = images[: min(len(images) - 1, len(images) * payloads.MAX_PAYLOAD * 49 // (size * 50))]
        left_out = len(inventory.images) + inventory.images_left_out - len(images)
        inventory = inventory.model_copy(update={"images": images, "images_left_out": left_out})
    return inventory


def _last_decision(decision: payloads.Event, outcome: payloads.Event | None) -> payloads.LastDecision:
    shown = payloads.LastDecision.of(payloads.DecisionData.model_validate(decision.data), decision.time)
    if outcome is not None:
        shown = shown.with_outcome(payloads.OutcomeData.model_validate(outcome.data))
    return shown.model_copy(update={"references": shown.references[:NAMES_SHOWN]})
