"""What the routes answer from."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from agent import __version__
from agent.adapters.clock import Clock
from agent.config import sections
from agent.fleet.history.reading import Readable
from agent.fleet.live.live_fleet import LiveFleet
from agent.fleet.web import documents


def _none() -> int:
    return 0


async def _do_nothing(_host: str) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """`mqtt_name`: the broker's address, for people; `mqtt_prefix`: the first part of all topics.

    `collector`: the name as which the monitor collects. `incomplete`: of how many hosts images have arrived that are
    not in the database yet; `complete` waits until those of one host are.
    """

    live: LiveFleet
    database: Readable
    settings: sections.Monitor
    health: Callable[[], documents.Health]
    clock: Clock
    mqtt_name: str = ""
    mqtt_prefix: str = "torchkeeper"
    collector: str = "main"
    incomplete: Callable[[], int] = _none
    complete: Callable[[str], Awaitable[None]] = _do_nothing
    version: str = __version__


SERVICES = web.AppKey("services", Services)
