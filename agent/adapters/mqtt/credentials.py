"""The files of the certificates and the password of one broker: whether they changed, expire, or are exposed."""

import ipaddress
import stat
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agent.adapters.broker import Connect, Connection, LoginRefused, Message, Options
from agent.adapters.mqtt import certificates, tls
from agent.adapters.mqtt.connect import read_password

PRIVATE_FOLDER = Path("/run/secrets")  # Docker makes the files there readable by all users of the container alone

Stamp = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Exposure:
    """A secret that others can read, and what to do."""

    detail: str
    hint: str


class CredentialFiles:
    """The files that `[mqtt]` names, and which of their versions the present connection was made with."""

    def __init__(self, addresses: Sequence[Options]) -> None:
        """`addresses`: of one broker, so that only their hosts and ports differ."""
        self._addresses = addresses
        self._options = addresses[0]
        self._used = self._seen = self._stamp()
        self._tried: tuple[Stamp, str] = ((), "")  # the version of the files that `problem` tried last, and its answer
        self.broker_certificate_expires: datetime | None = None  # of the last connection; None without TLS

    def noting(self, connect: Connect) -> Connect:
        """The same connections; each notes which version of the files it was made with."""

        @asynccontextmanager
        async def noted(will: Message | None) -> AsyncIterator[Connection]:
            self._used = self._stamp()  # before they are read: a later change is then seen
            async with connect(will) as connection:
                self.broker_certificate_expires = connection.certificate_expires
                yield connection

        return noted

    def have_changed(self, *, settled: bool = True) -> bool:
        """Whether the files differ from those of the present connection.

        `settled`: only if they did not change between this call and the one before, as several may be replaced in turn.
        """
        now = self._stamp()
        before, self._seen = self._seen, now
        return now != self._used and (now == before or not settled)

    def problem(self) -> str:
        """Why a connection could not be made with the files as they are now; "" if it could.

        Each version of the files is tried once: to load the system's authorities takes a tenth of a second.
        """
        now = self._stamp()
        if now != self._tried[0]:
            self._tried = now, self._find_problem()
        return self._tried[1]

    def _find_problem(self) -> str:
        try:
            read_password(self._options)
            for options in self._addresses:
                tls.make_context(options)
        except LoginRefused as error:
            return str(error)
        return ""

    def own_certificate_expires(self) -> datetime | None:
        """When the certificate in mqtt.cert_file expires; None if there is none or it cannot be read."""
        if not self._options.cert_file:
            return None
        try:
            return certificates.expiry(Path(self._options.cert_file))
        except (OSError, ValueError):
            return None  # a connection with it fails, and says why

    def exposures(self) -> list[Exposure]:
        """The secrets that others can read: on the network, and on this host."""
        return [*self._sent_in_clear(), *self._readable_by_all()]

    def _sent_in_clear(self) -> Iterator[Exposure]:
        for options in self._addresses:
            if self._options.password_file and not options.tls and not is_loopback(options.host):
                detail = f"the password in mqtt.password_file is sent to {options.name} without encryption"
                yield Exposure(detail, f"use {'wss' if options.path else 'mqtts'}:// in mqtt.url")

    def _readable_by_all(self) -> Iterator[Exposure]:
        for key, path in self._secrets():
            if _all_can_read(Path(path)):
                yield Exposure(f"{key}: {path}: can be read by every user of this host", f"chmod o-r {path}")

    def _secrets(self) -> list[tuple[str, str]]:
        """The key and the path of each file that has a secret."""
        options = self._options
        keys = {"mqtt.password_file": options.password_file, "mqtt.key_file": options.key_file}
        if not options.key_file:  # then the private key is in the other file
            keys["mqtt.cert_file"] = options.cert_file
        return [(key, path) for key, path in keys.items() if path]

    def _stamp(self) -> Stamp:
        paths = [path for _, path in tls.files(self._options)]
        return tuple(_stamp(Path(path)) for path in (self._options.password_file, *paths) if path)


def is_loopback(host: str) -> bool:
    """Whether a host of an address is this machine, so that nobody else sees what is sent."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _all_can_read(path: Path) -> bool:
    """Whether every user of this machine can read a file: it and all folders above it let them."""
    try:
        real = path.resolve(strict=True)
        if PRIVATE_FOLDER.resolve() in real.parents:
            return False
        return bool(real.stat().st_mode & stat.S_IROTH) and _folders_are_open(real)
    except OSError:
        return False  # a connection with it fails, and says why


def _folders_are_open(path: Path) -> bool:
    """Whether every user may enter the folders above a path. Raises OSError."""
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in path.parents)


def _stamp(path: Path) -> tuple[int, ...]:
    """What changes with a file, whatever links lead to it; of an error its number."""
    try:
        found = path.stat()
    except OSError as error:
        return (error.errno or 0,)
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
