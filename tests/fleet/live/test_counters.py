"""What is counted since the start."""

from agent.core.protocol import payloads
from agent.fleet.collector.batch import Batch, Committed, StreamState
from agent.fleet.live.counters import Counters
from agent.fleet.live.live_fleet import LiveFleet
from tests.support.live import BOOT, batch, committed
from tests.support.messages import make_decision, make_outcome
from tests.support.times import START


def dropped(count: int) -> payloads.Event:
    data = payloads.DroppedData(first_seq=1, last_seq=count, count=count, reason="outbox-full", ranges=[(1, count)])
    return payloads.event(host="a", epoch="e", seq=9, kind=data.type, at=START, subject=None, data=data.model_dump())


def unknown() -> payloads.Event:
    return payloads.event(host="a", epoch="e", seq=8, kind="torchkeeper.new", at=START, subject=None, data={})


def test_events_are_counted_by_their_known_types() -> None:
    made = LiveFleet(BOOT)
    made.apply(batch(events=[make_decision(), make_outcome(), unknown(), dropped(3)]), committed(1, regrets=2))
    counters = made.counters
    assert counters.events == {
        "torchkeeper.decision": 1,
        "torchkeeper.outcome": 1,
        "torchkeeper.dropped": 1,
        "other": 1,
    }
    assert (counters.dropped, counters.regrets) == (3, {"gpu-07": 2})


def test_evictions_are_counted_by_reason_outcome_and_mode() -> None:
    made = LiveFleet(BOOT)
    made.apply(batch(events=[make_decision(), make_outcome(measured_bytes=7)]), committed(1))
    made.apply(batch(events=[make_decision(3, "d2", reason="made up", estimated_bytes=5)]), committed(2))
    made.apply(batch(events=[make_outcome(4, "d2", measured_bytes=None)]), committed(2))
    made.apply(batch(events=[make_outcome(6, "d3", measured_bytes=None)]), committed(3))
    assert made.counters.evictions == {
        ("idle-ttl", "removed", "enforce"): 1,
        ("other", "removed", "enforce"): 1,
        ("other", "removed", "other"): 1,
    }
    assert made.counters.freed_bytes == {"measured": 7, "estimated": 5}


def test_missing_events_are_those_of_all_streams_as_they_are_now() -> None:
    counters = Counters({("a", "e"): StreamState(4, ((6, 9),), 12), ("b", "e"): StreamState(1, (), 1)})
    assert counters.missing == 4
    holes = StreamState(4, ((6, 6), (8, 9)), 12)
    counters.add(Batch(START, streams={("a", "e"): holes, ("b", "e"): StreamState(1, ((3, 3),), 4)}), Committed())
    assert counters.missing == 4
    counters.add(Batch(START, streams={("a", "e"): StreamState(12, (), 12)}), Committed())
    assert counters.missing == 1


def test_commits_are_counted_in_buckets() -> None:
    counters = Counters()
    for seconds in (0.0005, 0.001, 0.3, 60.0):
        counters.commit_took(seconds)
    assert counters.commits == [2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]
    assert counters.commit_seconds == 60.3015
