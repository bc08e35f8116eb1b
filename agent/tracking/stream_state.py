"""The state of Docker's event stream. All its transitions are here; nothing else changes `proven` or `ready`.

A session is one connection to the engine: `begin`, `open` when reading starts, `catch_up` when all earlier events
are applied or recorded as a gap, `close` when reading stops. In between the engine may stop answering (`suspend`,
`resume`), or an audit may find that the stream lost events (`lose`); a stream that lost events is never proven again.
"""

import asyncio

from agent.tracking.buffer import StreamEnded
from agent.tracking.stalls import StallDetector


class StreamState:
    """Whether the stream is proven: it is read, caught up, has lost no known event, and the engine answers."""

    def __init__(self, changed: asyncio.Event, stalls: StallDetector) -> None:
        """`changed`: set at each transition that may change `proven`."""
        self.ready = asyncio.Event()  # set while the stream is proven
        self.lost = asyncio.Event()  # set once the stream is known to have lost events: a new one must be opened
        self.loss = StreamEnded(0, "the event stream lost events")  # describes the lost events
        self.caught_up = False  # in this session; stays True after the stream ends
        self.ended_by_engine = False  # in this session
        self._changed = changed
        self._stalls = stalls
        self._reading = False
        self._answering = False

    @property
    def proven(self) -> bool:
        """Whether the stream is live, and all events so far are applied or recorded as a gap."""
        return self._reading and self.caught_up and self._answering and not self.lost.is_set()

    @property
    def trusted(self) -> bool:
        """Whether it is proven, and this process was not stalled since the last audit."""
        return self.proven and not self._stalls.check()

    def require(self) -> None:
        """Raises StreamEnded unless the stream is proven: a listing cannot replace unread events."""
        if not self.proven:
            raise StreamEnded(0, "the engine's events are not being read")

    def begin(self) -> None:
        """Start a session."""
        self._reading = self.caught_up = False
        self.ready.clear()

    def open(self) -> None:
        """Reading of the stream starts."""
        self.lost.clear()
        self._reading, self._answering, self.ended_by_engine = True, True, False

    def catch_up(self) -> None:
        """All earlier events are applied or recorded as a gap. Proves the stream, if it is still being read."""
        self.caught_up = True
        self._update()

    def suspend(self) -> None:
        """The engine does not answer, though its stream is open."""
        self._answering = False
        self._update()

    def resume(self) -> None:
        """The engine answers again. If its stream did not end meanwhile, no event is missing."""
        self._answering = True
        self._update()

    def lose(self, what: str) -> None:
        """The stream lost events, described by `what`. The session must end with `loss`."""
        self.loss = StreamEnded(0, what)
        self.lost.set()
        self._update()

    def close(self, *, ended_by_engine: bool = False) -> None:
        """Reading of the stream stops. It is not proven from this moment on."""
        self._reading = False
        self.ended_by_engine |= ended_by_engine
        self._update()

    def _update(self) -> None:
        if self.proven:
            self.ready.set()
        else:
            self.ready.clear()
        self._changed.set()
