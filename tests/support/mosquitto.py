"""A private MQTT broker on loopback, with its own port, folder and accounts."""

import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support import orphans, proc

PORTS = range(10_000, 32_000)  # below the ports that Linux assigns to clients, 32768 to 60999
# A host may write only below its own name, and read the messages for it; `collector` may read and write everything.
# `torchkeeper-monitor` has the rights of a monitor.
ACL = """\
pattern write torchkeeper/v1/hosts/%u/#
pattern read torchkeeper/v1/hosts/%u/status
pattern read torchkeeper/v1/control/%u/#
pattern read torchkeeper/v1/control/all/#
pattern read torchkeeper/v1/collectors/+/status

user collector
topic readwrite torchkeeper/#

user torchkeeper-monitor
topic read torchkeeper/v1/hosts/#
topic write torchkeeper/v1/control/+/ack
topic write torchkeeper/v1/collectors/main/status
"""


class Mosquitto(proc.Daemon):
    """One broker in `folder`; `kill` and `restart` keep its port, and its data if it is persistent."""

    def __init__(self, folder: Path, port: int, ca_file: Path | None) -> None:
        orphans.note_folder(folder)
        self.folder = folder
        self.host = "localhost"
        self.port = port
        self.ca_file = ca_file
        self.url = f"{'mqtts' if ca_file else 'mqtt'}://{self.host}:{port}"
        program = proc.require_program("mosquitto", "mosquitto")
        super().__init__([program, "-v", "-c", str(folder / "mosquitto.conf")], folder / "mosquitto.log")

    def start(self) -> None:
        """Start it and wait until it listens."""
        super().start()
        self.wait_until(self.listens)

    def restart(self) -> None:
        """Stop it gracefully if it runs, then start it on the same port; use it also after `kill`."""
        self.stop()
        self.start()

    def listens(self) -> bool:
        return proc.listens(self.port)


@contextmanager
def running(
    *,
    persistence: bool = False,
    users: Mapping[str, str] | None = None,
    acl: str = "",
    tls: bool = False,
    extra: Sequence[str] = (),
) -> Iterator[Mosquitto]:
    """Run a broker for the block.

    `users`: name -> password; without it all clients may connect. `acl`: the text of an ACL file
    (`ACL` is the fleet's). With `tls`, clients verify it with its `ca_file`. `extra`: lines of mosquitto.conf.
    """
    proc.require_root()
    folder = Path(tempfile.mkdtemp(prefix="tk-", dir="/tmp"))
    try:
        broker = Mosquitto(folder, free_port(), make_certificates(folder) if tls else None)
        _configure(broker, persistence, users or {}, acl, extra)
        broker.start()
        try:
            yield broker
        finally:
            broker.stop()
    finally:
        shutil.rmtree(folder)


def free_port() -> int:
    """A loopback port that is not in use now.

    The system does not assign it to clients, so it stays free while a broker is stopped.
    """
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def make_certificates(folder: Path) -> Path:
    """Write `server.crt` and `server.key` for localhost into `folder`. Returns the certificate of their CA."""
    ca, key, request = folder / "ca.crt", folder / "server.key", folder / "server.csr"
    ca_key, names = folder / "ca.key", folder / "names"
    names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    new_key = ["-newkey", "rsa:2048", "-nodes"]
    _openssl("req", "-x509", *new_key, "-keyout", ca_key, "-out", ca, "-subj", "/CN=test CA", "-days", "2")
    _openssl("req", *new_key, "-keyout", key, "-out", request, "-subj", "/CN=localhost")
    _openssl(
        *("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial"),
        *("-days", "2", "-extfile", names, "-out", folder / "server.crt"),
    )
    return ca


def _configure(broker: Mosquitto, persistence: bool, users: Mapping[str, str], acl: str, extra: Sequence[str]) -> None:
    folder = broker.folder
    lines = [
        "user root",  # otherwise it would change to a user who cannot read this folder
        f"listener {broker.port} 127.0.0.1",
        "set_tcp_nodelay true",
        "max_queued_messages 200000",
        "log_dest stderr",
        f"allow_anonymous {'false' if users else 'true'}",
        f"persistence {'true' if persistence else 'false'}",
        f"persistence_location {folder}/",
    ]
    if users:
        lines.append(f"password_file {_write_passwords(folder / 'passwords', users)}")
    if acl:
        (folder / "acl").write_text(acl)
        lines.append(f"acl_file {folder / 'acl'}")
    if broker.ca_file:
        lines += [f"certfile {folder / 'server.crt'}", f"keyfile {folder / 'server.key'}"]
    (folder / "mosquitto.conf").write_text("\n".join([*lines, *extra, ""]))


def _write_passwords(path: Path, users: Mapping[str, str]) -> Path:
    program = proc.require_program("mosquitto_passwd", "mosquitto")
    path.touch(mode=0o600)
    for name, password in users.items():
        subprocess.run([program, "-b", str(path), name, password], check=True, capture_output=True)
    return path


def _openssl(*args: str | Path) -> None:
    program = proc.require_program("openssl", "openssl")
    subprocess.run([program, *map(str, args)], check=True, capture_output=True)
