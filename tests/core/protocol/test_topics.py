"""Names and topics: what every broker takes, and what belongs to whom."""

import pytest

from agent.core.protocol import payloads
from agent.core.protocol.topics import Topics, slug, valid_host

TOPICS = Topics("torchkeeper", "gpu-07")
BIRTH = payloads.CollectorStatus.model_validate({"state": "online", "session": 7, "at": "2026-03-01T12:00:00Z"})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gpu-08.lab.example.org", "gpu-08-lab-example-org"),
        ("GPU 07 (lab)", "gpu-07-lab"),
        (".hidden.", "hidden"),
        ("a_b", "a_b"),
        ("...", "host"),
        ("x" * 62 + ".y", "x" * 62),
    ],
)
def test_a_host_name_that_is_made_has_no_dots(name: str, expected: str) -> None:
    assert slug(name) == expected
    assert valid_host(expected)


def test_a_host_name_with_dots_that_was_chosen_is_valid() -> None:
    assert valid_host("gpu-08.lab")


@pytest.mark.parametrize(
    ("topic", "collector"),
    [
        ("torchkeeper/v1/collectors/main/status", "main"),
        ("torchkeeper/v1/collectors//status", None),
        ("torchkeeper/v1/collectors/a/b/status", None),
        ("torchkeeper/v1/collectors/main/state", None),
        ("torchkeeper/v1/collectors/status", None),
        ("other/v1/collectors/main/status", None),
        ("torchkeeper/v1/hosts/main/status", None),
        ("main", None),
    ],
)
def test_a_collectors_status_is_told_from_other_topics(topic: str, collector: str | None) -> None:
    assert TOPICS.collector_of(topic) == collector


def test_a_collectors_birth_is_what_it_publishes_and_nothing_else() -> None:
    assert BIRTH.encode() == b'{"state":"online","session":7,"at":"2026-03-01T12:00:00Z"}'
    assert payloads.decode(payloads.CollectorStatus, BIRTH.encode()) == BIRTH
    assert payloads.decode(payloads.CollectorStatus, b'{"state":"online"}') is None
