"""Decisions and outcomes that the broker rejects: sent in a shorter form, and deferred if it rejects every form.

Later rows overtake a deferred row. The deferred row is tried again alone, after longer and longer pauses. This state is
only in memory: after a restart the agent learns it again.
"""

from dataclasses import dataclass

from agent.adapters.outbox import OutboxRow
from agent.core.protocol import shorten

FIRST_PAUSE = 60.0  # seconds until a deferred row is tried again
LONGEST_PAUSE = 600.0  # seconds; each try may cost a connection


@dataclass
class _Row:
    form: int = 0  # as `shorten` counts
    pause: float = FIRST_PAUSE
    not_before: float | None = None  # None: it is not deferred


class Deferred:
    """The rows that are sent in a shorter form, and the rows that wait for another try."""

    def __init__(self) -> None:
        self._rows: dict[int, _Row] = {}

    def __contains__(self, seq: int) -> bool:
        return seq in self._rows and self._rows[seq].not_before is not None

    @property
    def numbers(self) -> list[int]:
        return sorted(seq for seq in self._rows if seq in self)

    def payload(self, row: OutboxRow) -> bytes:
        """The payload to send: the whole row, or its present shorter form."""
        known = self._rows.get(row.seq)
        return shorten.shortened(row.payload, known.form) if known else row.payload

    def shorten(self, seq: int) -> bool:
        """Use the next shorter form of a row. Returns False if there is none."""
        row = self._rows.setdefault(seq, _Row())
        if row.form == shorten.FORMS:
            return False
        row.form += 1
        return True

    def defer(self, seq: int, now: float) -> None:
        """Try this row again after a pause that doubles each time; delay all deferred rows by the shortest pause."""
        row = self._rows.setdefault(seq, _Row())
        row.not_before = now + row.pause
        row.pause = min(2 * row.pause, LONGEST_PAUSE)
        for other in self._deferred():
            other.not_before = max(other.not_before or 0.0, now + FIRST_PAUSE)

    def next(self) -> tuple[int, float] | None:
        """The row to try next, and the time from which it may be tried; None if no row is deferred."""
        waiting = [(row.not_before, row.pause, seq) for seq, row in self._rows.items() if row.not_before is not None]
        not_before, _, seq = min(waiting, default=(0.0, 0.0, 0))
        return (seq, not_before) if waiting else None

    def release(self, seq: int) -> None:
        """Stop deferring a row that was accepted or has left the outbox. Try the others at once: they may pass now."""
        self._rows[seq].not_before = None
        for other in self._deferred():
            other.not_before = 0.0

    def forget(self, up_to: int) -> None:
        """Discard the state of rows up to this number that are not deferred: they are never sent again."""
        self._rows = {seq: row for seq, row in self._rows.items() if seq > up_to or seq in self}

    def _deferred(self) -> list[_Row]:
        return [row for row in self._rows.values() if row.not_before is not None]
