"""Anything in the engine's JSON: a row is read, or raises what its reader expects; what is read can be written."""

import json
import sqlite3
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.adapters.docker import json_values, rows
from agent.adapters.docker.json_values import UNREADABLE
from agent.core.model import Container, Image
from agent.core.usage import attribution
from agent.core.usage.events import EngineEvent
from tests.core import hostile
from tests.support.builders import decide

ID = "sha256:" + "a" * 64
CID = "c" * 64
IDS = st.sampled_from([ID, CID])
TEXTS = hostile.TEXTS
EVENT = {
    "Type": st.sampled_from(["container", "image"]),
    "Action": st.sampled_from(["create", "start", "die", "destroy", "tag", "untag", "pull"]),
    "Actor": hostile.rows(
        {"ID": IDS, "Attributes": st.dictionaries(TEXTS | st.sampled_from(["image", "name"]), TEXTS)}
    ),
    "timeNano": st.integers(1, 2**62),
    "time": st.integers(1, 2**33),
}
MOUNTS = st.lists(hostile.rows({"Type": st.just("image"), "Source": TEXTS, "Name": TEXTS}), max_size=2)
CONTAINER = {
    "Id": IDS,
    "ImageID": IDS,
    "Names": st.lists(TEXTS, max_size=2),
    "State": st.sampled_from(["running", "exited"]),
    "Created": st.integers(0, 2**33),
    "Mounts": MOUNTS,
    "Labels": hostile.LABELS,
}
STATE = hostile.rows({"FinishedAt": st.just("2026-03-01T12:00:00Z"), "StartedAt": TEXTS})
INSPECTED = {"State": STATE, "HostConfig": hostile.rows({"Mounts": MOUNTS}), "Created": TEXTS}
IMAGE = {"Id": IDS, "RepoTags": st.lists(TEXTS), "RepoDigests": st.lists(TEXTS), "Size": hostile.SIZES}
CONFIG = {
    "Env": st.lists(TEXTS | st.just("PYTORCH_VERSION=2.9.0")),
    "Labels": hostile.LABELS,
    "Entrypoint": st.lists(TEXTS),
    "Cmd": st.lists(TEXTS),
}
DETAILS = {
    "RootFS": hostile.rows({"Layers": st.lists(TEXTS)}),
    "Parent": TEXTS,
    "Created": TEXTS | st.just("9999-12-31T23:59:59-23:59"),
    "Config": hostile.rows(CONFIG),
}
HISTORY = st.lists(hostile.rows({"CreatedBy": TEXTS, "Size": hostile.SIZES}), max_size=3) | hostile.JSON


def sent(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Values as they come through the socket."""
    return strategy.map(lambda value: json_values.parsed(json.dumps(value)))


def store(*values: object) -> None:
    """Write values as the state does."""
    with sqlite3.connect(":memory:") as connection:
        connection.execute(f"SELECT {', '.join('?' * len(values))}", values)
    connection.close()


@settings(deadline=None)
@given(hostile.rows(EVENT).map(json.dumps).map(str.encode) | st.binary())
def test_an_event_is_read_or_passed_over(line: bytes) -> None:
    found = rows.event(line)
    ring = rows.ring([line])
    assert found is None or isinstance(found, EngineEvent)
    if found is not None:
        store(found.time_ns, found.kind, found.action, found.actor, found.image, found.name)
        words = attribution.describe_container(found.name, found.labels)
        store(words)
        assert len(words) < 5000
        assert found.at.year < 2200
        assert ring.oldest_ns == found.time_ns


@settings(deadline=None)
@given(sent(hostile.rows(CONTAINER)), sent(hostile.rows(INSPECTED)))
def test_a_container_is_read_whole_enough_or_an_error(row: dict[str, Any], inspected: dict[str, Any]) -> None:
    try:
        found = rows.stopped(rows.container(row), inspected)
    except UNREADABLE:
        return
    assert isinstance(found, Container)
    assert (found.id, found.image_id) == (row["Id"], row["ImageID"])
    store(found.id, found.image_id, found.name, found.state, attribution.describe_container(found.name, found.labels))


@settings(deadline=None)
@given(sent(hostile.rows(IMAGE)), sent(hostile.rows(DETAILS) | hostile.JSON), sent(HISTORY), st.booleans())
def test_an_image_is_read_or_unknown_and_a_plan_is_made_of_it(
    row: dict[str, Any], inspected: Any, history: Any, containerd: bool
) -> None:
    details, why = None, ""
    try:
        details = rows.details(inspected, history)
    except UNREADABLE as error:
        why = str(error) or repr(error)
    try:
        found = rows.image(row, details, containerd=containerd, unreadable=why)
    except UNREADABLE:
        assert row.get("Id") not in (ID, CID)
        return
    assert isinstance(found, Image)
    assert (found.details is None) == bool(found.unreadable)
    decision = decide(found).decisions[0]
    assert found.details is not None or decision.reason == "unknown"
    store(decision.explanation, *found.references)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity", '{"a": NaN}'])
def test_what_is_not_json_is_an_error(constant: str) -> None:
    with pytest.raises(ValueError, match="is not a number in JSON"):
        json_values.parsed(constant)


@pytest.mark.parametrize("escaped", [r"\ud800", r"\uD800", r"x\udc00y"])
def test_half_a_surrogate_pair_is_replaced_wherever_it_stands(escaped: str) -> None:
    found = json_values.parsed(f'[{{"{escaped}": "{escaped}"}}, "\\ud83d\\ude00"]')
    assert "?" in "".join((*found[0].keys(), *found[0].values()))
    assert json.dumps(found, ensure_ascii=False).encode()
    assert found[1] == "\U0001f600"
