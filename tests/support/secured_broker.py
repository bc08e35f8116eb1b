"""A mosquitto that requires client certificates of one authority, and takes the user from them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import mosquitto
from tests.support.certificates import Authority, Pair
from tests.support.mosquitto import Mosquitto


@dataclass(frozen=True)
class SecuredBroker:
    """The broker and its authority."""

    server: Mosquitto
    authority: Authority
    own: Pair  # the broker's
    client: Pair  # of a client with the name gpu-07
    plain_port: int  # the same broker without TLS

    def keys(self, **keys: str) -> dict[str, str]:
        """Those of `[mqtt]` with which it works, and others instead."""
        return {"url": self.server.url, "ca_file": str(self.authority.ca), **self.client.keys(), **keys}


@contextmanager
def running(folder: Path, acl: str = "") -> Iterator[SecuredBroker]:
    """Run the broker for the block. `folder`: for the authority and what it signs."""
    authority, plain_port = Authority(folder), mosquitto.free_port()
    with mosquitto.running(tls=True, acl=acl) as server:
        server.stop()
        own = Pair(server.folder / "server.crt", server.folder / "server.key")
        own.replace_with(authority.issue("localhost"))
        asks = ["require_certificate true", "use_identity_as_username true", f"cafile {authority.ca}"]
        with (server.folder / "mosquitto.conf").open("a") as config:
            # the lines of TLS belong to the listener above them, so the other listener comes last
            config.write("\n".join([*asks, f"listener {plain_port} 127.0.0.1", ""]))
        server.start()
        yield SecuredBroker(server, authority, own, authority.issue("gpu-07"), plain_port)
