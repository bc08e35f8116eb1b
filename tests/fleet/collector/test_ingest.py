"""The collector commits first and acknowledges then, so that nothing is lost whatever fails."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.core.protocol import payloads
from agent.fleet.collector import ingest
from agent.fleet.collector.batch import AlertChange, Batch, StatusChange, StreamState
from agent.fleet.collector.undecodable import ALERT
from agent.fleet.history.errors import HistoryUnavailable
from tests.support.collecting import CLIENT_ID, STATUS, CollectorRig, collector_rig
from tests.support.messages import make_decision, make_outcome, make_status, topic

SOURCE = ("gpu-07", "e")
NOT_AUTHORIZED = 135


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[CollectorRig]:
    async with collector_rig(tmp_path) as made:
        yield made


def decisions(first: int, last: int) -> list[payloads.Event]:
    return [make_decision(seq, f"d{seq}") for seq in range(first, last + 1)]


def seqs(rig: CollectorRig) -> list[int]:
    """The numbers of the events that were shown, in order."""
    return [event.seq for batch, _ in rig.shown for event in batch.events]


def fail(_: Batch) -> None:
    raise HistoryUnavailable("the disk is full")


async def test_events_are_committed_acknowledged_shown_and_answered_by_a_retained_watermark(rig: CollectorRig) -> None:
    async with rig.running():
        rig.send(make_decision(1), make_outcome(2))
        await rig.until(rig.watermarks_of)
        await rig.until(lambda: not rig.unacknowledged())
        assert await rig.streams() == {SOURCE: StreamState(2, (), 2)}
        assert seqs(rig) == [1, 2]
        assert len(rig.took) == len(rig.shown)  # each commit is timed
        ack = payloads.Ack(collector="main", epoch="e", seq=2)
        assert rig.server.retained["torchkeeper/v1/control/gpu-07/ack"] == ack.encode()


async def test_what_hosts_retain_is_taken_in_with_the_first_connection(rig: CollectorRig) -> None:
    rig.send_raw("status", make_status().encode(), retain=True)
    async with rig.running():
        await rig.until(lambda: rig.shown)
    (change,) = rig.shown[0][0].changes
    assert isinstance(change, StatusChange)
    assert (change.host, change.status, change.retain) == ("gpu-07", make_status(), True)


async def test_nothing_is_acknowledged_while_the_database_fails_and_then_all_is_stored_once(rig: CollectorRig) -> None:
    rig.history.before = fail
    async with rig.running():
        rig.send(*decisions(1, 3))
        await rig.until(lambda: rig.committer.retry.error)
        await rig.pass_time(60)
        assert (rig.committer.retry.error, rig.unacknowledged(), rig.watermarks_of()) == ("the disk is full", 3, [])
        rig.history.before = lambda _: None
        await rig.until(lambda: not rig.unacknowledged(), tick=1)
        assert (rig.committer.retry.error, await rig.stored(), seqs(rig)) == ("", 3, [1, 2, 3])


async def test_a_commit_that_succeeded_and_looked_as_if_it_had_failed_is_not_stored_twice(rig: CollectorRig) -> None:
    def fail_once(batch: Batch) -> None:
        rig.history.after = lambda _: None
        fail(batch)

    rig.history.after = fail_once
    async with rig.running():
        rig.send(*decisions(1, 3))
        await rig.until(lambda: rig.shown, tick=1)
        await rig.until(lambda: not rig.unacknowledged())
        assert await rig.stored() == 3
        assert [change.id for _, committed in rig.shown for change in committed.decisions] in ([], [1, 2, 3])


async def test_a_commit_goes_on_when_the_connection_is_lost_and_what_comes_again_is_a_duplicate(
    rig: CollectorRig,
) -> None:
    async with rig.running():
        rig.server.acknowledging.clear()
        rig.send(make_decision(1))
        await rig.until(rig.watermarks_of)  # its acknowledgement is awaited when the connection is lost
        rig.history.begun.clear()
        rig.history.released.clear()
        rig.send(*decisions(2, 4))
        await rig.until(rig.history.begun.is_set)
        rig.server.cut(CLIENT_ID)
        rig.server.acknowledging.set()
        await rig.clock.advance(0)
        rig.history.released.set()
        await rig.until(lambda: rig.server.connects == 2 and not rig.unacknowledged(), tick=1)
        await rig.until(lambda: sum(batch.duplicates for batch, _ in rig.shown) == 3)
        assert (await rig.stored(), seqs(rig)) == (4, [1, 2, 3, 4])


async def test_what_arrived_before_a_kill_and_was_not_committed_is_stored_by_the_next_run(
    rig: CollectorRig, tmp_path: Path
) -> None:
    rig.history.before = fail
    async with rig.running():
        rig.send(*decisions(1, 3))
        await rig.until(lambda: rig.committer.retry.error)
    async with collector_rig(tmp_path, server=rig.server) as second, second.running():
        await second.until(lambda: not second.unacknowledged())
        assert (await second.stored(), seqs(second)) == (3, [1, 2, 3])


async def test_an_undecodable_message_is_acknowledged_and_an_alert_and_stops_nothing(rig: CollectorRig) -> None:
    async with rig.running():
        rig.send_raw("events", b"{not an event")
        rig.send(make_decision(1))
        await rig.until(rig.stored)
        await rig.until(lambda: not rig.unacknowledged())
    changes = [change for batch, _ in rig.shown for change in batch.changes if isinstance(change, AlertChange)]
    assert [(change.host, change.alert_id) for change in changes] == [("gpu-07", ALERT)]
    assert changes[0].alert is not None
    assert topic("events") in changes[0].alert.message
    assert [name for batch, _ in rig.shown for name in batch.undecodable] == [topic("events")]


async def test_a_message_that_cannot_be_stored_is_discarded_alone_and_its_number_stays_missing(
    rig: CollectorRig,
) -> None:
    def refuse_the_second(batch: Batch) -> None:
        if any(event.seq == 2 for event in batch.events):
            raise ValueError("no database takes this")

    rig.history.before = refuse_the_second
    async with rig.running():
        rig.send(*decisions(1, 4))
        await rig.until(lambda: not rig.unacknowledged())
        assert await rig.streams() == {SOURCE: StreamState(1, ((2, 2),), 4)}
        assert [name for batch, _ in rig.shown for name in batch.undecodable] == [topic("events")]
        assert rig.server.connects == 1
        rig.history.before = lambda _: None
        rig.send(*decisions(2, 2))
        await rig.until(lambda: 4 in rig.watermarks_of())


async def test_missing_events_are_asked_for_again_after_10_s(rig: CollectorRig) -> None:
    async with rig.running():
        rig.send(make_decision(1, "d1"), make_decision(3, "d3"))
        await rig.until(lambda: rig.watermarks_of() == [1])
        await rig.pass_time(9)
        assert rig.watermarks_of() == [1]
        await rig.pass_time(2)
        assert rig.watermarks_of() == [1, 1]


async def test_each_connection_subscribes_says_so_and_repeats_the_watermarks(rig: CollectorRig) -> None:
    async with rig.running():
        rig.send(make_decision(1))
        await rig.until(lambda: rig.watermarks_of() == [1])
        rig.server.stop()
        await rig.until(lambda: not rig.collector.link.connected)
        rig.server.start()
        await rig.until(lambda: rig.collector.link.connected, tick=1)
        await rig.until(lambda: rig.watermarks_of() == [1, 1])
    (first, _), (second, _) = (status for status in rig.statuses() if status[0] == "online")
    assert first == second == "online"
    sessions = [session for state, session in rig.statuses() if state == "online"]
    assert len(set(sessions)) == 2
    filters = [topic(rest, "+") for rest in ("events", "status", "info", "inventory", "alerts/+")]
    assert rig.server.subscriptions == 2 * filters


async def test_the_status_is_online_from_the_birth_and_offline_after_a_goodbye_or_a_cut(rig: CollectorRig) -> None:
    async with rig.running():
        assert [state for state, _ in rig.statuses()] == ["online"]
        rig.server.cut(CLIENT_ID)
        await rig.until(lambda: len(rig.statuses()) == 3, tick=1)
        assert [state for state, _ in rig.statuses()] == ["online", "offline", "online"]
    assert [state for state, _ in rig.statuses()] == ["online", "offline", "online", "offline"]
    last = payloads.decode(payloads.CollectorStatus, rig.server.retained[STATUS])
    assert last is not None
    assert last.state == "offline"


async def test_the_link_says_since_when_and_why_there_is_no_broker(rig: CollectorRig) -> None:
    async with rig.running():
        rig.server.stop()
        await rig.until(lambda: rig.collector.link.error)
        lost = rig.collector.link
        await rig.pass_time(120)
        assert rig.collector.link == ingest.Link(False, lost.since, "fake: down")


async def test_a_refused_subscription_is_requested_again_on_a_new_connection(rig: CollectorRig) -> None:
    async with rig.running():
        rig.server.unreadable.add(topic("info", "+"))
        rig.server.cut(CLIENT_ID)
        await rig.until(lambda: rig.collector.link.error == "fake: not readable", tick=1)
        rig.server.unreadable.clear()
        await rig.until(lambda: rig.collector.link.connected, tick=1)


async def test_a_refused_watermark_is_told_and_stops_nothing(rig: CollectorRig) -> None:
    rig.server.denied["torchkeeper/v1/control/gpu-07/ack"] = NOT_AUTHORIZED
    async with rig.running():
        rig.send(make_decision(1))
        await rig.until(lambda: rig.watermarks.error)
        assert "control/gpu-07/ack" in rig.watermarks.error
        rig.server.denied.clear()
        rig.send(make_decision(2, "d2"))
        await rig.until(lambda: rig.watermarks_of() == [2])
        assert rig.watermarks.error == ""


async def test_many_messages_are_committed_in_batches_of_a_bounded_size(
    rig: CollectorRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "MOST_MESSAGES", 500)
    rig.history.released.clear()
    async with rig.running():
        rig.send(*decisions(1, 1200))
        await rig.until(lambda: rig.collector.behind == 1200 - 500)
        rig.history.released.set()
        await rig.until(lambda: not rig.unacknowledged())
    assert [len(batch.events) for batch, _ in rig.shown] == [500, 500, 200]
    assert (await rig.stored(), rig.collector.behind) == (1200, 0)
