"""Notifications for systemd: one datagram each to the socket that it names (see sd_notify(3))."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

QUIET = 30.0  # seconds between two notifications if no watchdog is set


@dataclass(frozen=True, slots=True)
class Notifier:
    """`address`: "" if no service manager listens. `watchdog`: seconds until it restarts this process; None: never."""

    address: str = ""
    watchdog: float | None = None

    @classmethod
    def of(cls, environ: Mapping[str, str], pid: int) -> "Notifier":
        """As the environment says. A watchdog that is meant for another process does not count."""
        microseconds = environ.get("WATCHDOG_USEC", "")
        ours = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
        watched = ours and microseconds.isdecimal() and int(microseconds) > 0
        return cls(environ.get("NOTIFY_SOCKET", ""), int(microseconds) / 1e6 if watched else None)

    @property
    def interval(self) -> float:
        """Seconds between two notifications: three in the time of the watchdog, so that one may be late."""
        return self.watchdog / 3 if self.watchdog is not None else QUIET

    def send(self, *states: str) -> None:
        """Send states like `READY=1` in one datagram. Never waits; if it cannot be sent, the next one may."""
        if not self.address.startswith(("/", "@")):
            return
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
                sender.sendto("\n".join(states).encode(), address)
        except OSError:
            pass


def notifier() -> Notifier:
    """The notifier of this process."""
    return Notifier.of(os.environ, os.getpid())
