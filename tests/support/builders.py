"""Builds facts and plans with defaults, so that a test gives only the values that it is about."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from agent.adapters.engine import EngineInfo
from agent.core.model import Container, Details, HistoryStep, Image, Snapshot, Usage
from agent.core.policy import planning
from agent.core.policy.decide import Context
from agent.core.policy.decision import Action, Decision, Plan
from agent.core.policy.disk import DiskUsage
from agent.core.policy.settings import Policy
from agent.core.pytorch import classify
from agent.core.usage.events import EngineEvent
from tests.support.times import DAY, START

MB = 1_000_000  # bytes
GB = 1_000 * MB  # bytes
REF = "team/torch:1"  # the image under test, where there is one
TORCH = {"PYTORCH_VERSION": "2.9.0"}  # strong evidence by itself
NOW = START  # the time of a plan
LONG_AGO = NOW - 100 * DAY
_OWN = ("id", "references", "digests", "origin", "size_bytes", "unreadable")  # fields of an image, not of its details

# Images


def make_id(name: str) -> str:
    """A full image ID that depends only on the name. A name of up to six letters can be read in it."""
    text = name.encode()
    return "sha256:" + (text.hex().ljust(64, "0") if len(text) <= 6 else hashlib.sha256(text).hexdigest())


def make_digest(repository: str, name: str) -> str:
    """A digest reference that depends only on the names."""
    return f"{repository}@{make_id('digest of ' + name)}"


def make_details(
    name: str = "image", *, layers: Mapping[str, int] | Sequence[str] | int = 100 * MB, **facts: Any
) -> Details:
    """Inspect and history; by default one unshared layer and no sign of PyTorch.

    `layers`: diff IDs, base first, where a mapping gives their bytes, too; or the bytes of the one layer of its own.
    """
    if isinstance(layers, int):
        layers = {make_id(f"layer of {name}"): layers}
    sizes = layers if isinstance(layers, Mapping) else dict.fromkeys(layers, 100 * MB)
    history = tuple(HistoryStep("COPY . .", size) for size in sizes.values())
    return Details(**{"layers": tuple(sizes), "history": history, **facts})


def make_image(name: str = "image", *references: str, details: Details | None = None, **facts: Any) -> Image:
    """A listed image. `facts`: fields of the image, or of its details.

    Its first digest proves that it is in a registry, as with a graph driver.
    """
    own = {key: facts.pop(key) for key in _OWN if key in facts}
    known = details or make_details(name, **facts)
    digests = tuple(own.pop("digests", ()))
    fields: dict[str, Any] = {
        "id": make_id(name),
        "references": tuple(sorted(references)),
        "digests": digests,
        "origin": digests[0] if digests else None,
        "size_bytes": sum(step.size_bytes for step in known.history),
        "details": known,
        **own,
    }
    return Image(**fields)


def pulled_image(name: str = "a", *references: str, **facts: Any) -> Image:
    """An image that was pulled from a registry: it keeps the digest reference while it has a tag."""
    names = facts.pop("references", references or (f"team/{name}:1",))
    digest = make_digest(names[0].rpartition(":")[0] if names else f"team/{name}", name)
    return make_image(name, *names, **{"digests": (digest,) if names else (), "origin": digest, **facts})


def pytorch_image(name: str = "torch", *references: str, **facts: Any) -> Image:
    """An image that is PyTorch by its ENV, pulled from a registry unless `pulled` is False."""
    local = {} if facts.pop("pulled", True) else {"digests": (), "origin": None}
    return pulled_image(name, *references, **{"env": TORCH, **local, **facts})


# Containers, usage, events


def make_container(
    name: str = "box", image: Image | str = "image", *, state: str = "exited", **facts: Any
) -> Container:
    """A container of an image: the image, its ID, or its name."""
    cid = hashlib.sha256(name.encode()).hexdigest()
    return Container(**{"id": cid, "image_id": _id_of(image), "name": name, "state": state, **facts})


def container_of(image: Image, name: str = "c", state: str = "exited", **facts: Any) -> Container:
    return make_container(name, image, state=state, **facts)


def make_usage(image: Image | str = "image", *, first_seen: datetime = START, **facts: Any) -> Usage:
    """The usage of an image: the image, its ID, or its name."""
    return Usage(image_id=_id_of(image), first_seen=first_seen, **facts)


def idle_usage(image: Image, **facts: Any) -> Usage:
    """Seen and used long ago."""
    seen = {"first_seen": LONG_AGO, "last_used": LONG_AGO, "references": image.references}
    return make_usage(image, **{**seen, **facts})


def _id_of(image: Image | str) -> str:
    if isinstance(image, Image):
        return image.id
    return image if image.startswith("sha256:") else make_id(image)


def make_event(action: str = "start", actor: str = "box", *, at: datetime = START, **facts: Any) -> EngineEvent:
    """An event, by default of a container."""
    kind = facts.pop("kind", "container")
    time_ns = int(at.timestamp()) * 10**9 + at.microsecond * 1000
    return EngineEvent(time_ns=time_ns, kind=kind, action=action, actor=actor, **facts)


def make_engine_info(engine_id: str = "engine", driver: str = "overlay2", root: str = "/var/lib/docker") -> EngineInfo:
    return EngineInfo(
        id=engine_id,
        name="gpu-07",
        version="28.5.2",
        api_version="1.51",
        driver=driver,
        containerd_store=driver == "overlayfs",
        root=root,
    )


def make_disk(used_bytes: int, total_bytes: int = 1000) -> DiskUsage:
    """A file system without a reserve, that counts no inodes."""
    return DiskUsage(used_bytes=used_bytes, available_bytes=total_bytes - used_bytes)


# Plans


def decide(
    *images: Image,
    usages: tuple[Usage, ...] = (),
    containers: tuple[Container, ...] = (),
    rules: Policy | None = None,
    now: datetime = NOW,
    context: Context | None = None,
) -> Plan:
    """A plan over images that were all last used long ago, unless a usage says otherwise."""
    known = {item.id: idle_usage(item) for item in images} | {item.image_id: item for item in usages}
    return planning.plan(
        Snapshot(at=now, images=images, containers=containers),
        classify.classify(images),
        known,
        rules or Policy(),
        now,
        context or Context(),
    )


def only_decision(plan: Plan) -> Decision:
    """The decision of a plan over one image."""
    (decision,) = plan.decisions
    return decision


def verdict_of(plan: Plan, of: Image) -> tuple[str, str]:
    """The action and reason for one image."""
    found = next(item for item in plan.decisions if item.image.id == of.id)
    return found.action.value, found.reason.value


def evicted_ids(plan: Plan) -> set[str]:
    """The IDs of all images that it evicts, held or not."""
    return {item.image.id for item in plan.decisions if item.action is Action.EVICT}
