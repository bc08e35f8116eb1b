"""Builds facts with defaults, so that a test gives only the values that it is about."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from agent.adapters.engine import EngineInfo
from agent.core.model import Container, Details, HistoryStep, Image, Usage
from agent.core.usage.events import EngineEvent
from tests.support.fakes.clock import START

MB = 1_000_000  # bytes
GB = 1_000 * MB  # bytes
TORCH = {"PYTORCH_VERSION": "2.9.0"}  # strong evidence by itself


def make_id(name: str) -> str:
    """A full image ID that depends only on the name."""
    return "sha256:" + hashlib.sha256(name.encode()).hexdigest()


def make_digest(repository: str, name: str) -> str:
    """A digest reference that depends only on the names."""
    return f"{repository}@{make_id('digest of ' + name)}"


def make_details(
    name: str = "image",
    *,
    layers: Sequence[str] | None = None,
    parent: str = "",
    env: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    layer_bytes: int = 100 * MB,
) -> Details:
    """Inspect and history; by default one unshared layer and no sign of PyTorch."""
    own = (make_id(f"layer of {name}"),) if layers is None else tuple(layers)
    return Details(
        layers=own,
        parent=parent,
        created=START,
        env=dict(env or {}),
        labels=dict(labels or {}),
        history=tuple(HistoryStep("COPY . .", layer_bytes) for _ in own),
    )


def make_image(
    name: str = "image",
    *references: str,
    digests: Sequence[str] = (),
    details: Details | None = None,
    size_bytes: int = 100 * MB,
) -> Image:
    """A listed image; its first digest proves that it is in a registry, as with a graph driver."""
    return Image(
        id=make_id(name),
        references=tuple(sorted(references)),
        digests=tuple(digests),
        origin=digests[0] if digests else None,
        size_bytes=size_bytes,
        details=details or make_details(name),
    )


def pytorch_image(name: str = "torch", *references: str, pulled: bool = True, **details: object) -> Image:
    """An image that is PyTorch by its ENV, and pulled from a registry by default."""
    names = references or (f"team/{name}:1",)
    digests = [make_digest(names[0].rpartition(":")[0], name)] if pulled else []
    found = make_details(name, env=TORCH, **details)  # type: ignore[arg-type]  # the keywords of make_details
    return make_image(name, *names, digests=digests, details=found)


def make_container(name: str = "box", image: str = "image", *, state: str = "exited", **facts: object) -> Container:
    """A container of the image with that name."""
    cid = hashlib.sha256(name.encode()).hexdigest()
    return Container(id=cid, image_id=make_id(image), name=name, state=state, **facts)  # type: ignore[arg-type]


def make_usage(image: str = "image", *, first_seen: datetime = START, **facts: object) -> Usage:
    """The usage of the image with that name."""
    return Usage(image_id=make_id(image), first_seen=first_seen, **facts)  # type: ignore[arg-type]


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
