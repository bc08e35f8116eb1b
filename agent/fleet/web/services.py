"""What the routes answer from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from agent import __version__
from agent.adapters.clock import Clock
from agent.config import sections
from agent.fleet.history.reading import Readable
from agent.fleet.live.row import HostRow, StandingAlert
from agent.fleet.live.totals import Totals
from agent.fleet.web import documents


class Live(Protocol):
    """The part of the live fleet that the routes read."""

    @property
    def position(self) -> object:
        """As a text, it is a position of the stream."""
        ...

    def rows(self) -> list[HostRow]: ...

    def row(self, host: str) -> HostRow | None: ...

    def totals(self) -> Totals: ...

    def alerts(self) -> list[StandingAlert]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """`mqtt_name`: the broker's address, for people; `mqtt_prefix`: the first part of all topics."""

    live: Live
    database: Readable
    settings: sections.Monitor
    health: Callable[[], documents.Health]
    clock: Clock
    mqtt_name: str = ""
    mqtt_prefix: str = "torchkeeper"
    version: str = __version__


SERVICES = web.AppKey("services", Services)
