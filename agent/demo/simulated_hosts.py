"""Hosts that do not exist, for the page of the demo: what an agent on each would publish, with two weeks of history.

Their names begin with `simulated-`, so that nobody takes them for real ones. Pure: `now` is an argument.
"""

import hashlib
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from agent import __version__
from agent.adapters.broker import Message
from agent.config import sections
from agent.core import units
from agent.core.policy.decision import Mode, Outcome
from agent.core.protocol import payloads
from agent.core.protocol.alerts import AlertId
from agent.core.protocol.topics import Topics

PREFIX = "simulated-"
TTL = timedelta(days=14)
HISTORY = 14  # days
DISK = 500_000_000_000  # bytes
GB = 1_000_000_000
NIGHTLY = 11 * GB  # bytes of one nightly build
CUDA = ("cuda12.6", "cuda12.8")
LOCAL = "lab/"  # images that were built on a host
# repository, tags from old to new, gigabytes of one image
SERIES = (
    ("nvcr.io/nvidia/pytorch", ("24.07-py3", "24.10-py3", "25.01-py3", "25.06-py3", "25.10-py3"), 20),
    ("pytorch/pytorch", ("2.4.1-cuda12.4", "2.5.1-cuda12.4", "2.7.1-cuda12.8", "2.9.0-cuda12.8"), 8),
    ("teamai/pytorch", ("2.5-cuda12.4", "2.7-cuda12.6", "2.9-cuda12.8"), 10),
    ("vllm/vllm-openai", ("v0.8.5", "v0.10.2", "v0.11.0"), 17),
    ("lab/finetune", ("exp7", "exp8", "exp9"), 12),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedHost:
    """One host, and what is special about it."""

    name: str
    used: float  # share of its disk
    mode: Mode = Mode.ENFORCE
    is_paused: bool = False
    is_online: bool = True
    has_regret: bool = False  # an image was pulled again soon after its eviction
    is_blocked: bool = False  # its disk is full, and nothing may be evicted


HOSTS = (
    SimulatedHost(name=f"{PREFIX}gpu-01", used=0.61),
    SimulatedHost(name=f"{PREFIX}gpu-02", used=0.83, has_regret=True),
    SimulatedHost(name=f"{PREFIX}gpu-03", used=0.97, is_blocked=True),
    SimulatedHost(name=f"{PREFIX}gpu-04", used=0.44, mode=Mode.OBSERVE),
    SimulatedHost(name=f"{PREFIX}gpu-05", used=0.72, is_paused=True),
    SimulatedHost(name=f"{PREFIX}gpu-06", used=0.58, is_online=False),
)


def events(host: SimulatedHost, now: datetime) -> Iterator[Message]:
    """The decisions and outcomes of the last two weeks, in their order. Not retained."""
    topics, chance, seq = Topics("torchkeeper", host.name), _chance(host.name), 0
    for reference, at in evicted(host, now):
        for data in _decided(host, reference, at, chance):
            seq += 1
            event = payloads.event(
                host=host.name,
                epoch="simulated",
                seq=seq,
                kind=data.type,
                at=at,
                subject=_id(reference),
                data=data.stored(),
            )
            yield Message(topics.events, event.encode())


def evicted(host: SimulatedHost, now: datetime) -> list[tuple[str, datetime]]:
    """What became due in the last two weeks, and when: on most days nightly builds of two weeks before."""
    chance = _chance(f"evicted on {host.name}")
    found = []
    for days in range(HISTORY, 0, -1):
        at = now - timedelta(days=days) + timedelta(hours=chance.randint(1, 8))
        for cuda in CUDA[: chance.randint(0, len(CUDA))]:
            found.append((f"teamai/nightly:{at - TTL:%Y%m%d}-{cuda}", at))
    return found


def _decided(
    host: SimulatedHost, reference: str, at: datetime, chance: random.Random
) -> tuple[payloads.DecisionData, payloads.OutcomeData]:
    """A decision and its outcome, one in twelve of which is a refusal by the engine."""
    idle, freed = TTL + timedelta(minutes=chance.randint(1, 90)), int(NIGHTLY * 0.6)
    image = payloads.ImageRef(id=_id(reference), references=[reference], size_bytes=NIGHTLY, origin=_origin(reference))
    decision = payloads.DecisionData(
        decision_id=f"{host.name}-{reference}",
        action="evict",
        reason="idle-ttl",
        mode=host.mode,
        held_by="observe" if host.mode is Mode.OBSERVE else None,
        explanation=f"idle {units.format_duration(idle)}, TTL 14 d; frees about {units.format_bytes(freed)}",
        image=image,
        last_used=at - idle,
        last_used_by="train-llm",
        idle_since=at - idle,
        idle_seconds=idle.total_seconds(),
        ttl_seconds=TTL.total_seconds(),
        estimated_bytes=freed,
        evidence=["PyTorch: simulated"],
    )
    refused = chance.random() < 1 / 12
    result = Outcome.WOULD_REMOVE if host.mode is Mode.OBSERVE else Outcome.REFUSED if refused else Outcome.REMOVED
    return decision, payloads.OutcomeData(
        decision_id=decision.decision_id,
        outcome=result,
        image=image,
        measured_bytes=int(freed * chance.uniform(0.95, 1.05)) if result is Outcome.REMOVED else None,
        error="the engine says that a container uses it" if result is Outcome.REFUSED else None,
    )


def state(host: SimulatedHost, now: datetime) -> Iterator[Message]:
    """Its retained topics. The status comes last: with it the host is there."""
    topics = Topics("torchkeeper", host.name)
    inventory = _inventory(host, now)
    yield Message(topics.info, _info(host, now).encode(), retain=True)
    yield Message(topics.inventory, inventory.encode(), retain=True)
    if host.is_blocked:
        alert = _full(host, inventory)
        yield Message(topics.alert(alert.id), alert.encode(), retain=True)
    yield status(host, now)


def _full(host: SimulatedHost, inventory: payloads.Inventory) -> payloads.Alert:
    """The alert of a host whose disk is full, with the bytes that each reason keeps."""
    kept: Counter[str] = Counter()
    for image in inventory.images:
        kept[image.reason] += image.estimated_bytes
    shares = ", ".join(f"{reason} {units.format_bytes(count)}" for reason, count in kept.most_common())
    return payloads.Alert(
        id=AlertId.DISK_FULL_NOTHING_EVICTABLE,
        severity="critical",
        message=f"{host.used:.0%} of the disk is used, and nothing may be evicted now: {shares}",
        since=inventory.at - timedelta(minutes=40),
    )


def status(host: SimulatedHost, now: datetime) -> Message:
    """A sign of life, or for a host that is offline its will of 40 minutes ago."""
    document = payloads.Status(
        state="online" if host.is_online else "offline",
        session=1,
        at=now if host.is_online else now - timedelta(minutes=40),
        agent_id=_agent_id(host),
    )
    return Message(Topics("torchkeeper", host.name).status, document.encode(), retain=True)


def _info(host: SimulatedHost, now: datetime) -> payloads.Info:
    pause = payloads.Pause(until=now + timedelta(hours=6), reason="simulated: a look at an incident")
    pressure = sections.Pressure(high=0.85, low=0.75)
    return payloads.Info(
        host=host.name,
        version=__version__,
        engine={"name": host.name, "version": "28.5.2", "driver": "overlay2", "id": f"simulated {host.name}"},
        agent_id=_agent_id(host),
        epoch="simulated",
        mode=host.mode,
        paused=pause if host.is_paused else None,
        policy={"policy": sections.Policy().model_dump(mode="json"), "pressure": pressure.model_dump(mode="json")},
        started=now - timedelta(days=HISTORY),
        at=now,
    )


def _inventory(host: SimulatedHost, now: datetime) -> payloads.Inventory:
    chance = _chance(f"inventory of {host.name}")
    shown = [item for item in _images() if chance.random() < 0.7]
    if host.has_regret:
        shown.append((evicted(host, now)[-1][0], NIGHTLY))
    images = [_image(reference, size, now, chance, blocked=host.is_blocked) for reference, size in shown]
    due = sum(image.estimated_bytes for image in images if image.action == "evict")
    return payloads.Inventory(
        host=host.name,
        at=now,
        disk=payloads.Disk(
            total_bytes=DISK,
            used_bytes=int(DISK * host.used),
            images_bytes=sum(image.size_bytes for image in images),
            reclaimable_bytes=due,
        ),
        totals={},
        images=images,
        decisions=[],
    )


def _image(
    reference: str, size: int, now: datetime, chance: random.Random, *, blocked: bool
) -> payloads.InventoryImage:
    """One image: in use, the only copy, or kept until its deadline. `blocked`: none has a deadline."""
    idle = timedelta(hours=chance.randint(1, 13 * 24))
    running = chance.random() < (0.5 if blocked else 0.2)
    is_own = reference.startswith(LOCAL)
    reason = "in-use" if running else "local-only" if is_own else "protected-tag" if blocked else "recent"
    return payloads.InventoryImage(
        id=_id(reference),
        references=[reference],
        action="keep",
        reason=reason,
        kind="pytorch",
        torch_version=None,
        accelerator=None,
        running=running,
        last_used=now - idle,
        last_used_by="train-llm",
        idle_since=None if running else now - idle,
        deadline=now - idle + TTL if reason == "recent" else None,
        size_bytes=size,
        estimated_bytes=int(size * 0.6),
    )


def _chance(name: str) -> random.Random:
    """Numbers that look random, and are the same at each start."""
    return random.Random(name)  # noqa: S311 - nothing is to be kept secret


def _images() -> list[tuple[str, int]]:
    return [(f"{name}:{tag}", size * GB) for name, tags, size in SERIES for tag in tags]


def _id(reference: str) -> str:
    return f"sha256:{hashlib.sha256(reference.encode()).hexdigest()}"


def _origin(reference: str) -> str:
    repository, _, tag = reference.partition(":")
    return f"{repository}@{_id(tag)}"


def _agent_id(host: SimulatedHost) -> str:
    return hashlib.sha256(host.name.encode()).hexdigest()[:32]
