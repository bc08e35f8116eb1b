"""Facts with defaults, so that a test names only what it is about."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from agent.core.model import Container, Details, HistoryStep, Image, Usage
from agent.core.usage.events import EngineEvent
from tests.support.times import START

MB = 1_000_000  # bytes
GB = 1_000 * MB  # bytes
REF = "team/torch:1"  # the image under test, where there is one
TORCH = {"PYTORCH_VERSION": "2.9.0"}  # strong evidence by itself


def make_id(name: str) -> str:
    """A full image ID, the same for the same name."""
    return "sha256:" + hashlib.sha256(name.encode()).hexdigest()


def make_digest(repository: str, name: str) -> str:
    """A digest reference, the same for the same names."""
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
    """Inspect and history: by default one layer of its own and nothing that speaks of PyTorch."""
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
    """A listed image; its first digest proves an origin, as on a graph driver."""
    return Image(
        id=make_id(name),
        references=tuple(sorted(references)),
        digests=tuple(digests),
        origin=digests[0] if digests else None,
        size_bytes=size_bytes,
        details=details or make_details(name),
    )


def pytorch_image(name: str = "torch", *references: str, pulled: bool = True, **details: object) -> Image:
    """A PyTorch image by its ENV, pulled from a registry unless said otherwise."""
    names = references or (f"team/{name}:1",)
    digests = [make_digest(names[0].rpartition(":")[0], name)] if pulled else []
    found = make_details(name, env=TORCH, **details)  # type: ignore[arg-type]  # the keywords of make_details
    return make_image(name, *names, digests=digests, details=found)


def make_container(name: str = "box", image: str = "image", *, state: str = "exited", **facts: object) -> Container:
    """A container of the image of a name."""
    cid = hashlib.sha256(name.encode()).hexdigest()
    return Container(id=cid, image_id=make_id(image), name=name, state=state, **facts)  # type: ignore[arg-type]


def make_usage(image: str = "image", *, first_seen: datetime = START, **facts: object) -> Usage:
    """The usage of the image of a name."""
    return Usage(image_id=make_id(image), first_seen=first_seen, **facts)  # type: ignore[arg-type]


def make_event(action: str = "start", actor: str = "box", *, at: datetime = START, **facts: Any) -> EngineEvent:
    """A container's event, unless `kind` says otherwise."""
    kind = facts.pop("kind", "container")
    time_ns = int(at.timestamp()) * 10**9 + at.microsecond * 1000
    return EngineEvent(time_ns=time_ns, kind=kind, action=action, actor=actor, **facts)
