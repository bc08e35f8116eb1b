"""`torchkeeper history`: one row for each eviction, and the commands that undo it, each in one line."""

from typing import Any

from agent.cli import history_table
from agent.core.protocol import payloads
from tests.cli.printing import lines
from tests.support.messages import make_decision, make_outcome
from tests.support.times import DAY, MINUTE, START

TAGS = ["registry.example:5000/platform/pytorch:2.9-cuda12.6", "teamai/pytorch:newest"]
ORIGIN = "registry.example:5000/platform/pytorch@sha256:" + "a" * 64
UNDO = [
    f"  torchkeeper restore {TAGS[0]}",
    f"  docker pull {ORIGIN} && docker tag {ORIGIN} {TAGS[0]} && docker tag {ORIGIN} {TAGS[1]}",
]


def image(**fields: Any) -> payloads.ImageRef:
    return payloads.ImageRef.model_validate(
        {"id": "sha256:" + "1" * 64, "references": TAGS, "size_bytes": 9, "origin": ORIGIN} | fields
    )


def eviction(number: int = 1, **outcome: Any) -> list[payloads.Event]:
    identity, at = f"d{number}", START + number * MINUTE
    return [
        make_decision(2 * number, identity, at, image=image()),
        make_outcome(2 * number + 1, identity, at + MINUTE, **{"image": image(), **outcome}),
    ]


def shown(events: list[payloads.Event], *, width: int | None = 80, verbose: bool = False) -> list[str]:
    return lines(history_table.history(events, "30d", verbose=verbose, width=width), width)


def test_an_eviction_is_one_row_with_its_outcome_and_the_commands_that_undo_it() -> None:
    assert shown(eviction()) == [
        "WHEN (UTC)        WHAT     IMAGE AND WHY",
        f"2026-03-01 12:01  removed  {TAGS[0]}",
        f"                           {TAGS[1]}",
        "                           idle 15 d, TTL 14 d; freed 5.0 GB",
        *UNDO,
    ]


def test_the_commands_are_one_line_each_in_a_terminal_of_any_width() -> None:
    for width in (40, 80, 200, None):
        assert [line for line in shown(eviction(), width=width) if line in UNDO] == UNDO


def test_where_there_is_no_terminal_an_eviction_is_one_line_and_its_commands_one_each() -> None:
    [_, row, *commands] = shown(eviction(), width=None)
    assert row.endswith(f"removed  {' '.join(TAGS)}  idle 15 d, TTL 14 d; freed 5.0 GB")
    assert commands == UNDO


def test_an_eviction_that_failed_has_its_error_and_nothing_to_undo() -> None:
    failed = eviction(outcome="failed", measured_bytes=None, error="conflict: it is in use")
    [_, row] = shown(failed, width=None)
    assert row.endswith("idle 15 d, TTL 14 d; conflict: it is in use")
    assert "failed" in row


def test_an_image_that_can_be_pulled_from_nowhere_has_nothing_to_undo() -> None:
    assert len(shown(eviction(image=image(origin=None)), width=None)) == 2


def test_an_image_without_a_tag_is_pulled_and_restored_by_its_digest() -> None:
    by_digest = eviction(image=image(references=[ORIGIN]))
    assert shown(by_digest, width=None)[2:] == [f"  torchkeeper restore {ORIGIN}", f"  docker pull {ORIGIN}"]


def test_a_decision_without_an_outcome_is_shown_as_decided() -> None:
    [_, row] = shown(eviction()[:1], width=None)
    assert "decided  " in row


def test_an_outcome_whose_decision_is_older_is_shown() -> None:
    [_, row, *_] = shown(eviction()[1:], width=None)
    assert row.endswith(f"removed  {' '.join(TAGS)}  freed 5.0 GB")


def test_the_last_outcome_of_a_decision_that_was_tried_again_counts() -> None:
    again = make_outcome(9, "d1", START + DAY, image=image())
    refused = eviction(outcome="refused", measured_bytes=None, error="in use")
    assert [line.split()[2] for line in shown([*refused, again], width=None)[1:] if line[0] == "2"] == ["removed"]


def test_every_event_has_a_row_of_its_own_where_that_is_asked() -> None:
    rows = [line for line in shown([*eviction(1), *eviction(2)], width=None, verbose=True) if line[0] == "2"]
    assert [line[18:].split("  ")[0] for line in rows] == ["decided: idle-ttl", "removed"] * 2


def test_without_any_event_the_time_that_was_asked_for_is_named() -> None:
    assert shown([]) == ["nothing was decided in the last 30d"]


def test_what_else_was_removed_is_named_with_the_command_that_pulls_it() -> None:
    also = "team/other@sha256:" + "b" * 64
    rows = shown(eviction(also_removed=[also]), width=None)
    assert f"also removed: {also}" in rows[1]
    assert rows[-1] == f"  docker pull {also}"
