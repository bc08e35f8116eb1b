"""The brokers that the suite runs on: each with the rights that the README gives to a host."""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from agent.adapters.broker import ANSWER_TIMEOUT
from agent.adapters.mqtt import broker
from agent.config import sections
from tests.support import mosquitto, nats

HOSTS = ("gpu-01", "gpu-02", "gpu-03", "gpu-04", "gpu-05", "gpu-06", "gpu-07.lab")  # one a test
COLLECTOR = "collector"
USERS = dict.fromkeys((*HOSTS, COLLECTOR), "secret")


class Server(Protocol):
    """What the suite needs of a broker."""

    url: str
    ca_file: Path | None

    def start(self) -> None: ...
    def kill(self) -> None: ...
    def output(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Kind:
    """One broker, and the version of MQTT to be used with it."""

    run: Callable[[bool], AbstractContextManager[Server]]  # with TLS or without
    deny_events: Callable[[Server, bool], None]  # to all hosts, or permit them again
    denial: str  # what it logs for each publish that it denies
    version: str  # mqtt.version
    in_use: str  # what comes of it


@contextmanager
def _mosquitto(tls: bool) -> Iterator[Server]:
    with mosquitto.running(users=USERS, acl=mosquitto.ACL, tls=tls, persistence=True) as server:
        yield server


def _deny_on_mosquitto(server: Server, denied: bool) -> None:
    assert isinstance(server, mosquitto.Mosquitto)
    acl = mosquitto.ACL.replace("hosts/%u/#", "hosts/%u/status") if denied else mosquitto.ACL
    (server.folder / "acl").write_text(acl)
    before = server.output().count("Reloading config")
    server.send_signal(signal.SIGHUP)
    server.wait_until(lambda: server.output().count("Reloading config") > before)


@contextmanager
def _nats(tls: bool) -> Iterator[Server]:
    with nats.running(USERS, tls=tls) as server:
        yield server


def _deny_on_nats(server: Server, denied: bool) -> None:
    assert isinstance(server, nats.Nats)
    server.configure(USERS, denied=HOSTS if denied else ())
    server.reload()


KINDS = {
    "mosquitto": Kind(_mosquitto, _deny_on_mosquitto, "Denied PUBLISH from", "auto", "MQTT 5"),
    "mosquitto with 3.1.1": Kind(_mosquitto, _deny_on_mosquitto, "Denied PUBLISH from", "3.1.1", "MQTT 3.1.1"),
    "NATS": Kind(_nats, _deny_on_nats, "Publish Violation", "auto", "MQTT 3.1.1"),
}


@dataclass(frozen=True, slots=True)
class Place:
    """A running broker, and a folder for the secret."""

    kind: Kind
    server: Server
    folder: Path

    def mqtt(self, user: str, **keys: object) -> sections.Mqtt:
        """The settings of one user."""
        secret = self.folder / "secret"
        secret.write_text("secret\n")
        given = {
            "url": self.server.url,
            "username": user,
            "password_file": str(secret),
            "ca_file": str(self.server.ca_file or ""),
            "version": self.kind.version,
        }
        return sections.Mqtt.model_validate(given | keys)

    def connect(self, user: str, client_id: str) -> broker.Connect:
        several = broker.all_options(self.mqtt(user), client_id)
        if user == COLLECTOR:  # it reads the retained messages of the whole fleet
            several = tuple(replace(options, largest_incoming=0) for options in several)
        return broker.connector(several)

    def connect_viewer(self, user: str) -> broker.ConnectCollector:
        """As `torchkeeper fleet` connects."""
        return broker.viewer_connector(self.mqtt(user), ANSWER_TIMEOUT)

    def denials(self) -> int:
        """How many publishes it has denied."""
        return self.server.output().count(self.kind.denial)

    def on(self, server: Server) -> "Place":
        """The same on another broker of this kind."""
        return replace(self, server=server)
