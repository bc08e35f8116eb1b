"""Values of `[monitor]` and `[http]`. Each check raises ValueError, whose message says what to write instead."""

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator

_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})")
_PUBLIC_URL = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[^\s?#]*)?")


def networks(value: tuple[str, ...]) -> tuple[str, ...]:
    """Addresses and networks of proxies."""
    for written in value:
        try:
            network = ipaddress.ip_network(written)
        except ValueError:
            raise ValueError(f"{written!r} is neither an address nor a network, like 10.0.0.5 or 10.0.0.0/28") from None
        if network.prefixlen == 0:
            raise ValueError(f"{written!r} is every address, so anybody could name any user; list the proxies")
    return value


def no_actions(value: bool) -> bool:
    if value:
        raise ValueError("actions are not available yet; leave it out")
    return value


def _header(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]+", value):
        raise ValueError(f"{value!r} is not the name of a header; write it like Remote-User")
    return value


def _listen(value: str, port: int = 9478) -> str:
    parts = _LISTEN.fullmatch(value)
    if parts is None or int(parts[2]) > 65535:
        raise ValueError(f"{value!r} is not an address and a port; write it like 127.0.0.1:{port} or [::1]:{port}")
    return value


def _listen_or_not(value: str) -> str:
    return _listen(value, 9477) if value else value


def split(listen: str) -> tuple[str, int]:
    """The host and the port of an address to listen on."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


def _public_url(value: str) -> str:
    if value and not _PUBLIC_URL.fullmatch(value):
        raise ValueError(f"{value!r} is not the address of a page; write it like https://fleet.example")
    return value


HeaderName = Annotated[str, AfterValidator(_header)]
Listen = Annotated[str, AfterValidator(_listen)]
OptionalListen = Annotated[str, AfterValidator(_listen_or_not)]
PublicUrl = Annotated[str, AfterValidator(_public_url)]
