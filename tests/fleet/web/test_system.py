"""/healthz and /api/version."""

import pytest

from agent import __version__
from agent.fleet.web import documents
from tests.support.fleet_web import Monitor


@pytest.mark.parametrize(("broker", "status"), [("connected", 200), ("connecting", 200), ("unreachable", 503)])
async def test_health_is_503_while_the_broker_is_unreachable(monitor: Monitor, broker: str, status: int) -> None:
    monitor.health = documents.Health.model_validate({"broker": broker, "behind_events": 3, "last_commit": None})
    assert await monitor.get("/healthz") == (status, {"broker": broker, "behind_events": 3, "last_commit": None})


async def test_the_version_is_that_of_the_package(monitor: Monitor) -> None:
    assert await monitor.get("/api/version") == (200, {"version": __version__})
