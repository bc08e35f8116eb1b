"""The state of the engine's event stream. All its transitions are here; nothing else changes `proven` or `ready`.

A session is one connection to the engine: `begin`, `open` when the stream is read, `catch_up` when nothing before it
is unrecorded, `close` when nobody reads it any more. In between the engine may stop answering (`suspend`, `resume`),
or an audit may find that the stream lost events (`lose`); a stream that lost events is never proven again.
"""

import asyncio

from agent.tracking.buffer import StreamEnded
from agent.tracking.stalls import StallDetector


class StreamState:
    """Whether the stream is proven: read, caught up, of an engine that answers, and not known to have lost events."""

    def __init__(self, changed: asyncio.Event, stalls: StallDetector) -> None:
        """`changed`: set at each transition that may change `proven`."""
        self.ready = asyncio.Event()  # set while the stream is proven
        self.lost = asyncio.Event()  # set once the stream is known to have lost events: it is to be opened anew
        self.loss = StreamEnded(0, "the event stream lost events")  # what it lost
        self.caught_up = False  # in this session, also after the stream's end
        self.ended_by_engine = False  # in this session
        self._changed = changed
        self._stalls = stalls
        self._reading = False
        self._answering = False

    @property
    def proven(self) -> bool:
        """Whether the stream is live, and nothing that is missing in it is unrecorded."""
        return self._reading and self.caught_up and self._answering and not self.lost.is_set()

    @property
    def trusted(self) -> bool:
        """Whether it is proven, and this process was not stalled since the last audit."""
        return self.proven and not self._stalls.check()

    def require(self) -> None:
        """Raises StreamEnded unless it is proven: a listing does not stand for events that nobody reads."""
        if not self.proven:
            raise StreamEnded(0, "the engine's events are not being read")

    def begin(self) -> None:
        """A session begins."""
        self._reading = self.caught_up = False
        self.ready.clear()

    def open(self) -> None:
        """The stream is being read from here on."""
        self.lost.clear()
        self._reading, self._answering, self.ended_by_engine = True, True, False

    def catch_up(self) -> None:
        """All that happened before is taken in or recorded as a gap. Proves the stream, if it is still being read."""
        self.caught_up = True
        self._update()

    def suspend(self) -> None:
        """The engine does not answer, though its stream is open."""
        self._answering = False
        self._update()

    def resume(self) -> None:
        """The engine answers again: where its stream did not end meanwhile, no event is missing."""
        self._answering = True
        self._update()

    def lose(self, what: str) -> None:
        """The stream lost events: the session is to end by `loss`."""
        self.loss = StreamEnded(0, what)
        self.lost.set()
        self._update()

    def close(self, *, ended_by_engine: bool = False) -> None:
        """Nobody reads the stream any more: at once it proves nothing."""
        self._reading = False
        self.ended_by_engine |= ended_by_engine
        self._update()

    def _update(self) -> None:
        if self.proven:
            self.ready.set()
        else:
            self.ready.clear()
        self._changed.set()
