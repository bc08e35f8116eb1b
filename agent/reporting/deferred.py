"""Decisions and outcomes that the broker rejects: sent in a shorter form, and deferred if it rejects every form.

The rows behind a deferred row are sent before it. It is tried again, alone, less and less often. This state is lost
with the process, and then learned again.
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
    """In which form a row is sent, if not whole, and which rows wait for another try."""

    def __init__(self) -> None:
        self._rows: dict[int, _Row] = {}

    def __contains__(self, seq: int) -> bool:
        return seq in self._rows and self._rows[seq].not_before is not None

    @property
    def numbers(self) -> list[int]:
        return sorted(seq for seq in self._rows if seq in self)

    def payload(self, row: OutboxRow) -> bytes:
        """The row in the form in which it is sent."""
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
        """Try a row later, after a longer pause each time, and no other deferred row before the shortest pause."""
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
        """A deferred row was accepted or is no longer in the outbox. The others may now pass too: try them at once."""
        self._rows[seq].not_before = None
        for other in self._deferred():
            other.not_before = 0.0

    def forget(self, up_to: int) -> None:
        """Rows up to here are not sent again, except the deferred ones."""
        self._rows = {seq: row for seq, row in self._rows.items() if seq > up_to or seq in self}

    def _deferred(self) -> list[_Row]:
        return [row for row in self._rows.values() if row.not_before is not None]
