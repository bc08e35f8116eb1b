"""The MQTT topics, and the host names in them."""

import re

VERSION = "v1"
# An empty message on `events` is not an event, and collectors ignore it. An agent publishes it (QoS 1, not retained) to
# find out whether it may publish there at all.
PROBE = b""

_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


def valid_host(name: str) -> bool:
    """Whether a name can be a level of a topic, a user name of the broker and a label of a metric."""
    return _HOST.fullmatch(name) is not None


def slug(name: str) -> str:
    """The closest name that every broker accepts: `gpu-07-lab` for `GPU-07.lab`; `host` if no character is left.

    Without dots, although `valid_host` permits them: for RabbitMQ and NATS a dot separates topic levels.
    """
    text = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")[:63].rstrip("-_")
    return text or "host"


class Topics:
    """The topics of one host, or of all (`host="+"`), under one prefix."""

    def __init__(self, prefix: str, host: str) -> None:
        self._base = f"{prefix}/{VERSION}"
        self.host = host
        own = f"{self._base}/hosts/{host}"
        self.status = f"{own}/status"
        self.info = f"{own}/info"
        self.inventory = f"{own}/inventory"
        self.events = f"{own}/events"
        self._alerts = f"{own}/alerts"
        self.ack = f"{self._base}/control/{host}/ack"
        self._collectors = f"{self._base}/collectors/"
        self.collectors = f"{self._collectors}+/status"

    def alert(self, alert_id: str) -> str:
        return f"{self._alerts}/{alert_id}"

    def collector(self, name: str) -> str:
        """The status topic of one collector."""
        return f"{self._collectors}{name}/status"

    def parse(self, topic: str) -> tuple[str, str] | None:
        """The (host, rest) of a topic below `hosts/`, rest being like `status` or `alerts/<id>`; else None."""
        head = f"{self._base}/hosts/"
        host, slash, rest = topic.removeprefix(head).partition("/")
        return (host, rest) if topic.startswith(head) and slash and rest and valid_host(host) else None

    def collector_of(self, topic: str) -> str | None:
        """The id of the collector whose status this topic is, or None."""
        name = topic.removeprefix(self._collectors).removesuffix("/status")
        return name if topic == self.collector(name) and valid_host(name) else None
