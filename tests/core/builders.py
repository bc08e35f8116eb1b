"""Builders with defaults: a test names only what it is about."""

from datetime import UTC, datetime, timedelta

from agent.core.model import Container, Details, HistoryStep, Image, Snapshot, Usage
from agent.core.policy import planning
from agent.core.policy.decide import Context
from agent.core.policy.decision import Action, Decision, Plan
from agent.core.policy.disk import DiskUsage
from agent.core.policy.settings import Policy
from agent.core.pytorch import classify

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
LONG_AGO = NOW - 100 * DAY


def image_id(name: str) -> str:
    """A full ID that can be told apart by eye."""
    return "sha256:" + name.encode().hex().ljust(64, "0")[:64]


def pytorch_image(name: str = "a", *references: str, **changes: object) -> Image:
    """An image that is surely PyTorch, pulled from a registry."""
    return image(name, *references, **{"env": {"PYTORCH_VERSION": "2.9.0"}, **changes})


def image(name: str = "a", *references: str, **changes: object) -> Image:
    """An image with one layer of its own. `layers` maps diff ID -> bytes, base first."""
    layers = changes.pop("layers", {f"sha256:layer-{name}": 1000})
    assert isinstance(layers, dict)
    known = Details(
        layers=tuple(layers),
        history=tuple(HistoryStep("COPY", size) for size in layers.values()),
        env=changes.pop("env", {}),  # type: ignore[arg-type]
        labels=changes.pop("labels", {}),  # type: ignore[arg-type]
        parent=changes.pop("parent", ""),  # type: ignore[arg-type]
        committed=bool(changes.pop("committed", False)),
        created=changes.pop("created", None),  # type: ignore[arg-type]
        packed_bytes=changes.pop("packed_bytes", 0),  # type: ignore[arg-type]
    )
    fields: dict[str, object] = {
        "id": image_id(name),
        "references": references or (f"team/{name}:1",),
        "size_bytes": sum(layers.values()),
        "details": known,
        "origin": f"team/{name}@sha256:1",
        **changes,
    }
    return Image(**fields)  # type: ignore[arg-type]


def usage(of: Image, **changes: object) -> Usage:
    """Seen and used long ago."""
    fields: dict[str, object] = {
        "image_id": of.id,
        "first_seen": LONG_AGO,
        "last_used": LONG_AGO,
        "references": of.references,
        **changes,
    }
    return Usage(**fields)  # type: ignore[arg-type]


def container(of: Image, name: str = "c", state: str = "exited", **changes: object) -> Container:
    return Container(id=f"id-{name}", image_id=of.id, name=name, state=state, **changes)  # type: ignore[arg-type]


def disk(used_bytes: int, total_bytes: int = 1000) -> DiskUsage:
    """A file system without a reserve, that counts no inodes."""
    return DiskUsage(total_bytes=total_bytes, used_bytes=used_bytes, available_bytes=total_bytes - used_bytes)


def decide(
    *images: Image,
    usages: tuple[Usage, ...] = (),
    containers: tuple[Container, ...] = (),
    rules: Policy | None = None,
    now: datetime = NOW,
    context: Context | None = None,
) -> Plan:
    """A plan over images that were all last used long ago, unless a usage says otherwise."""
    known = {item.id: usage(item) for item in images} | {item.image_id: item for item in usages}
    return planning.plan(
        Snapshot(at=now, images=images, containers=containers),
        classify.classify(images),
        known,
        rules or Policy(),
        now,
        context or Context(),
    )


def only(plan: Plan) -> Decision:
    """The decision of a plan over one image."""
    (decision,) = plan.decisions
    return decision


def verdict(plan: Plan, of: Image) -> tuple[str, str]:
    """The action and reason for one image."""
    found = next(item for item in plan.decisions if item.image.id == of.id)
    return found.action.value, found.reason.value


def evicted(plan: Plan) -> set[str]:
    """The IDs of all images that it evicts, held or not."""
    return {item.image.id for item in plan.decisions if item.action is Action.EVICT}
