"""What comes through the engine's socket."""

import json
import sqlite3
from typing import Any

from agent.adapters.docker import json_values, rows
from agent.adapters.docker.json_values import UNREADABLE
from agent.core.images import isolation
from agent.core.usage import attribution
from tests.fuzz import outcome
from tests.support.builders import decide, make_id

ID, CID = make_id("a"), "c" * 64
_ACTOR = {"ID": CID, "Attributes": {"image": "team/torch:1", "name": "box", "user": "alice"}}
_START = {"Type": "container", "Action": "start", "Actor": _ACTOR, "time": 1, "timeNano": 1_000_000_007}
_TAG = {"Type": "image", "Action": "tag", "Actor": {"ID": ID, "Attributes": {"name": "team/torch:1"}}, "time": 5}
EVENTS = tuple(json.dumps(row).encode() for row in (_START, _TAG, {**_TAG, "Action": "pull", "time": "12345678"}))
RINGS = (b"\n".join(EVENTS), b"\n" + EVENTS[0] + b'\n{"timeNano": 1e999}\n')
CONTAINERS = (
    json.dumps(
        {
            "Id": CID,
            "ImageID": ID,
            "Names": ["/box"],
            "State": "exited",
            "Created": 1_700_000_000,
            "Image": "team/torch:1",
            "Labels": {"owner": "alice"},
            "Mounts": [{"Type": "image", "Source": "team/data:1"}],
            "HostConfig": {"Mounts": [{"Type": "image", "Source": "team/data:2"}]},
        }
    ).encode(),
    json.dumps({"Id": CID, "ImageID": "", "State": {"FinishedAt": "2026-03-01T12:00:00Z"}}).encode(),
)
INSPECTS = (
    json.dumps(
        {
            "Id": ID,
            "RepoTags": ["team/torch:1", "<none>:<none>"],
            "RepoDigests": [f"team/torch@{ID}"],
            "Size": 7,
            "Parent": "",
            "Created": "2026-03-01T12:00:00.123456789Z",
            "RootFS": {"Layers": ["sha256:1"]},
            "Config": {"Env": ["PYTORCH_VERSION=2.9.0"], "Labels": {"torchkeeper.ttl": "30d"}, "Cmd": ["vllm"]},
            "Metadata": {"LastTagTime": "0001-01-01T00:00:00Z"},
            "History": [{"CreatedBy": "RUN pip install torch==2.9.0", "Size": 7}],
        }
    ).encode(),
    json.dumps({"Id": ID, "RepoTags": None, "Size": -1, "Config": {"Entrypoint": "run me", "Labels": None}}).encode(),
)


def event(data: bytes) -> None:
    """An event that the state can hold, or None."""
    found = rows.event(data)
    if found is None:
        return
    store(found.time_ns, found.kind, found.action, found.actor, found.image, found.name)
    store(attribution.describe_container(found.name, found.labels))
    assert 1970 <= found.at.year <= 2116
    assert len(found.labels) <= rows.MOST_LABELS


def ring(data: bytes) -> None:
    """As many rows as there are lines; each event is one of them, and none is older than the oldest."""
    lines = data.split(b"\n")
    found = rows.ring(lines)
    assert len(found.events) <= found.size <= len(lines)
    assert all(found.oldest_ns <= item.time_ns for item in found.events)


def container(data: bytes) -> None:
    """A container with the IDs that the row has, or one of UNREADABLE."""
    row = json_object(data)
    found, _ = outcome.of(lambda: rows.stopped(rows.container(row), row), *UNREADABLE)
    if found is not None:
        assert (found.id, found.image_id) == (row["Id"], row["ImageID"])
        store(
            found.id, found.image_id, found.name, found.state, attribution.describe_container(found.name, found.labels)
        )


def inspect(data: bytes) -> None:
    """An image of which a plan is made; where anything in it cannot be read, it is unknown, and has its ID."""
    row = json_object(data)
    details, error = outcome.of(lambda: rows.details(row, row.get("History")), *UNREADABLE)
    why = isolation.failure(error) if error is not None else ""
    found, _ = outcome.of(lambda: rows.image(row, details, containerd=False, unreadable=why), *UNREADABLE)
    if found is None:
        return
    assert found.id == row["Id"]
    assert (found.details is None) == bool(found.unreadable)
    decision = decide(found).decisions[0]
    assert (decision.reason == "unknown") == bool(decision.failure)
    assert decision.action == "keep" or not decision.failure
    store(decision.explanation, *found.references, *found.digests)


def json_object(data: bytes) -> dict[str, Any]:
    """A JSON object; {} where it is something else."""
    value, _ = outcome.of(lambda: json_values.parsed(data), ValueError)
    return value if isinstance(value, dict) else {}


def store(*values: object) -> None:
    """Write values as the state does. Raises where it could not."""
    _MEMORY.execute(f"SELECT {', '.join('?' * len(values))}", values)


_MEMORY = sqlite3.connect(":memory:")
