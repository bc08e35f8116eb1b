"""Sessions of people who logged in, and the wrong tokens of each peer. In memory; `now` is an argument, in seconds."""

import ipaddress
import secrets
from collections import OrderedDict, deque

from agent.fleet.web.access import Visitor

LASTS = 12 * 3600.0  # seconds
MOST_SESSIONS = 10_000
MOST_WRONG = 10  # tokens of one peer in WRONG_WITHIN
WRONG_WITHIN = 60.0  # seconds
MOST_PEERS = 10_000


class Sessions:
    def __init__(self) -> None:
        self._visitors: OrderedDict[str, tuple[Visitor, float]] = OrderedDict()  # by ID, the oldest first

    def begin(self, visitor: Visitor, now: float) -> str:
        """The ID of a new session. Nobody can guess it."""
        session = secrets.token_urlsafe(32)
        self._visitors[session] = (visitor, now + LASTS)
        while len(self._visitors) > MOST_SESSIONS:
            self._visitors.popitem(last=False)
        return session

    def visitor(self, session: str | None, now: float) -> Visitor | None:
        visitor, ends = self._visitors.get(session or "", (None, 0.0))
        if visitor is not None and now >= ends:
            self.end(session)
            return None
        return visitor

    def end(self, session: str | None) -> None:
        self._visitors.pop(session or "", None)


class WrongTokens:
    """Counts the wrong tokens of each peer, so that nobody can try many."""

    def __init__(self) -> None:
        self._times: OrderedDict[str, deque[float]] = OrderedDict()  # by peer, the one that tried last at the end

    def add(self, peer: str, now: float) -> None:
        times = self._times.setdefault(_group(peer), deque(maxlen=MOST_WRONG))
        times.append(now)
        self._times.move_to_end(_group(peer))
        while len(self._times) > MOST_PEERS:
            self._times.popitem(last=False)

    def wait(self, peer: str, now: float) -> float:
        """Seconds for which no token of this peer is looked at; 0 if it may try."""
        times = self._times.get(_group(peer))
        if times is None or len(times) < MOST_WRONG:
            return 0.0
        return max(0.0, times[0] + WRONG_WITHIN - now)


def _group(peer: str) -> str:
    """Whoever has one IPv6 address has the whole network of 64 bits."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if address.version == 4 or address.ipv4_mapped is not None:
        return peer
    return str(ipaddress.ip_network((address, 64), strict=False))
