"""The rows of decisions: each decision once, with its last outcome, in whatever order they come."""

from agent.core.protocol import payloads
from agent.fleet.collector.batch import Committed, DecisionChange, StreamState
from agent.fleet.history import times
from agent.fleet.history.database import Database
from agent.fleet.history.tables import decisions, freed_days, images
from tests.support import history, messages
from tests.support.history import Collector, event
from tests.support.times import DAY, HOUR, MINUTE, START

NOW = times.to_ms(START)
IMAGE = payloads.ImageRef(
    id="sha256:" + "1" * 64,
    references=["teamai/a:1"],
    size_bytes=9_000_000_000,
    torch_version="2.9.0",
    accelerator="cuda12.8",
    origin="teamai/a@sha256:2",
)
DECISION = messages.make_decision(
    1,
    image=IMAGE,
    last_used=START - DAY,
    last_used_by="trainer",
    ttl_seconds=1209600.0,
    evidence=["ENV PYTORCH_VERSION"],
)
OUTCOME = messages.make_outcome(2, at=START + MINUTE, image=IMAGE, also_removed=["b:1"])
ROW = {
    "id": 1,
    "stream_id": 1,
    "seq": 1,
    "host_id": 1,
    "decision_id": "d1",
    "at": NOW,
    "image_id": 1,
    "names": '["teamai/a:1"]',
    "action": "evict",
    "reason": "idle-ttl",
    "mode": "enforce",
    "held_by": None,
    "explanation": "idle 15 d, TTL 14 d",
    "last_used": NOW - times.DAY,
    "last_used_by": "trainer",
    "idle_since": None,
    "idle_seconds": 0.0,
    "ttl_seconds": 1209600.0,
    "estimated": 4_800_000_000,
    "evidence": '["ENV PYTORCH_VERSION"]',
    "outcome": None,
    "outcome_at": None,
    "measured": None,
    "error": None,
    "also_removed": "[]",
    "regret_at": None,
}
REMOVED = {"outcome": "removed", "outcome_at": NOW + 60_000, "measured": 5_000_000_000, "also_removed": '["b:1"]'}
CHANGE = DecisionChange(id=1, host="gpu-07", decision_id="d1")


async def test_a_decision_is_one_row_with_all_that_it_says(collector: Collector) -> None:
    committed = await collector.receive(event(DECISION))
    assert committed == Committed((CHANGE,), {}, {("gpu-07", "e"): StreamState(1, (), 1)})
    assert await history.rows(collector.database, decisions) == [ROW]
    assert await history.rows(collector.database, images) == [
        {
            "id": 1,
            "digest": IMAGE.id,
            "torch_version": "2.9.0",
            "accelerator": "cuda12.8",
            "size": 9_000_000_000,
            "origin": "teamai/a@sha256:2",
            "first_seen": NOW,
        }
    ]


async def test_an_outcome_completes_the_row_of_its_decision(collector: Collector) -> None:
    await collector.receive(event(DECISION))
    assert (await collector.receive(event(OUTCOME))).decisions == (CHANGE,)
    assert await history.rows(collector.database, decisions) == [ROW | REMOVED]


async def test_a_decision_and_its_outcome_in_one_batch_are_one_row(collector: Collector) -> None:
    assert (await collector.receive(event(DECISION), event(OUTCOME))).decisions == (CHANGE,)
    assert await history.rows(collector.database, decisions) == [ROW | REMOVED]


async def test_an_outcome_before_its_decision_makes_the_row_and_the_decision_fills_it(collector: Collector) -> None:
    await collector.receive(event(OUTCOME))
    (row,) = await history.rows(collector.database, decisions)
    assert (row["stream_id"], row["reason"], row["outcome"], row["at"]) == (None, "", "removed", NOW + 60_000)
    assert (await collector.receive(event(DECISION))).decisions == (CHANGE,)
    assert await history.rows(collector.database, decisions) == [ROW | REMOVED]


async def test_the_latest_outcome_of_a_decision_counts_whichever_comes_first(collector: Collector) -> None:
    refused = messages.make_outcome(2, outcome="refused", measured_bytes=None, error="in use", at=START + MINUTE)
    removed = messages.make_outcome(3, at=START + HOUR)
    await collector.receive(event(DECISION), event(removed), event(refused))
    (row,) = await history.rows(collector.database, decisions, "outcome", "outcome_at", "measured", "error")
    assert row == {"outcome": "removed", "outcome_at": NOW + times.HOUR, "measured": 5_000_000_000, "error": None}


async def test_one_decision_id_on_two_hosts_is_two_decisions(collector: Collector) -> None:
    await collector.receive(event(DECISION), event(messages.make_decision(1, host="gpu-08")))
    assert await history.rows(collector.database, decisions, "host_id", "decision_id") == [
        {"host_id": 1, "decision_id": "d1"},
        {"host_id": 2, "decision_id": "d1"},
    ]


async def freed(database: Database) -> list[dict[str, object]]:
    return await history.rows(database, freed_days, "day", "reason", "evicted", "would", "estimated", "measured")


DAY_OF_START = times.day_of(NOW)
FREED = {"day": DAY_OF_START, "reason": "idle-ttl", "evicted": 1, "would": 0, "estimated": 0, "measured": 5_000_000_000}


async def test_what_a_removal_freed_is_added_to_its_day_and_reason_once(collector: Collector) -> None:
    await collector.receive(event(DECISION))
    assert await freed(collector.database) == []
    await collector.receive(event(OUTCOME))
    await collector.receive(event(OUTCOME))
    assert await freed(collector.database) == [FREED]


async def test_what_a_removal_freed_is_moved_to_its_reason_when_the_decision_comes_late(collector: Collector) -> None:
    await collector.receive(event(OUTCOME))
    assert await freed(collector.database) == [FREED | {"reason": ""}]
    await collector.receive(event(DECISION))
    assert await freed(collector.database) == [FREED]


async def test_a_removal_without_measured_bytes_counts_as_estimated_and_a_refusal_does_not_count(
    collector: Collector,
) -> None:
    other = messages.make_decision(3, "d2")
    await collector.receive(event(DECISION), event(messages.make_outcome(2, measured_bytes=None)))
    await collector.receive(event(other), event(messages.make_outcome(4, "d2", outcome="refused")))
    assert await freed(collector.database) == [FREED | {"measured": 0, "estimated": 4_800_000_000}]


async def test_what_observe_mode_would_remove_is_counted_apart(collector: Collector) -> None:
    await collector.receive(event(DECISION), event(messages.make_outcome(2, outcome="would-remove")))
    assert await freed(collector.database) == [FREED | {"evicted": 0, "would": 1, "measured": 0}]


async def test_an_image_keeps_what_is_known_about_it_when_a_later_message_knows_less(collector: Collector) -> None:
    await collector.receive(event(DECISION))
    await collector.receive(event(messages.make_decision(2, "d2")))
    (image,) = await history.rows(collector.database, images, "torch_version", "origin")
    assert image == {"torch_version": "2.9.0", "origin": "teamai/a@sha256:2"}
