"""What anybody may write to the topics that an agent reads."""

from pathlib import Path

from agent.adapters.outbox import UnknownSequence
from agent.adapters.sqlite import database
from agent.adapters.sqlite.event_log import EventLog
from agent.adapters.sqlite.queries import Queries
from agent.core.protocol import payloads
from agent.core.protocol.new_events import NewEvent
from tests.fuzz import outcome
from tests.support.fakes.clock import START

EVENTS = 5  # in the log
OURS = "ours"  # stands for the epoch of the log
ACKS = (
    b'{"collector": "main", "epoch": "ours", "seq": 3}',
    b'{"collector": "main", "epoch": "", "seq": 0}',
    b'{"collector": "main", "epoch": "ours", "seq": 99999999999999999999999999999}',
    b'{"collector": "main", "epoch": "\\ud800", "seq": 1.0}',
    b'{"state": "online", "session": 7, "at": "2026-03-01T12:00:00Z", "agent_id": "a"}',
)


def acknowledgement(data: bytes) -> None:
    """A status and an acknowledgement, or None; the log then moves within its numbers, or raises UnknownSequence."""
    status = payloads.decode(payloads.Status, data)
    assert status is None or status.at.tzinfo is not None
    ack = payloads.decode(payloads.Ack, data)
    if ack is None:
        return
    assert isinstance(ack.seq, int)
    assert ack.seq >= 0
    db = Queries(database.open_copy(Path("no such folder")))
    log = EventLog(db)
    try:
        for number in range(EVENTS):
            log.append(NewEvent("torchkeeper.gap", START, None, {"number": number}))
        _acknowledge(log, log.epoch if ack.epoch == OURS else ack.epoch, ack.seq)
    finally:
        db.close()


def _acknowledge(log: EventLog, epoch: str, seq: int) -> None:
    found, error = outcome.of(lambda: log.acknowledge(epoch, seq, START), UnknownSequence)
    if error is not None:
        assert seq > EVENTS
        assert log.watermark() is None
        return
    assert found is not None
    assert found.seq == (seq if epoch == log.epoch else 0)
    assert [row.seq for row in log.unsent(0, 100)] == list(range(found.seq + 1, EVENTS + 1))
