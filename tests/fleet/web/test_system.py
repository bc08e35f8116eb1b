"""/healthz and /api/version."""

import pytest

from agent import __version__
from agent.config import sections
from agent.fleet.web import documents
from tests.support.fleet_web import Monitor


@pytest.mark.parametrize(("broker", "status"), [("connected", 200), ("connecting", 200), ("unreachable", 503)])
async def test_health_is_503_while_the_broker_is_unreachable(monitor: Monitor, broker: str, status: int) -> None:
    said = {
        "broker": broker,
        "behind_events": 3,
        "incomplete_hosts": 2,
        "last_commit": None,
        "database": "working",
        "error": None,
    }
    monitor.health = documents.Health.model_validate(said)
    assert await monitor.get("/healthz") == (status, said)


async def test_the_version_is_that_of_the_package(monitor: Monitor) -> None:
    assert await monitor.get("/api/version") == (200, {"version": __version__})


async def test_health_says_what_fails_only_where_everybody_may_read(monitor: Monitor) -> None:
    monitor.health = documents.Health(
        broker="connected", behind_events=0, last_commit=None, database="failing", error="/secret/fleet.db: full"
    )
    _, told = await monitor.get("/healthz")
    closed = sections.MonitorAuth(mode="proxy")
    await monitor.start(settings=sections.Monitor(auth=closed))
    status, silent = await monitor.get("/healthz")
    assert (told["error"], status, silent["error"], silent["database"]) == (
        "/secret/fleet.db: full",
        503,
        None,
        "failing",
    )
