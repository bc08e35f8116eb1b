"""Liveness depends on work that hangs alone; readiness names each reason against it."""

import pytest

from agent.core.protocol.alerts import AlertId
from agent.pulse import Pulse
from tests.http.conftest import Ask
from tests.support.fake_host import FakeHost
from tests.support.times import START


async def test_an_agent_without_an_engine_lives(host: FakeHost, client_of: Ask) -> None:
    host.docker.stop()
    client = await client_of(host.agent())
    answer = await client.get("/healthz/live")
    assert (answer.status, await answer.json()) == (200, {"live": True, "hanging": []})


async def test_an_agent_whose_work_hangs_does_not_live(host: FakeHost, client_of: Ask) -> None:
    pulse = Pulse(host.clock.monotonic)
    client = await client_of(host.agent(), pulse)
    with pulse.busy("sweep", 1800):
        await host.clock.advance(1860)
        answer = await client.get("/healthz/live")
        assert (answer.status, await answer.json()) == (
            503,
            {"live": False, "hanging": ["no progress of the sweep for 31 min"]},
        )
    assert (await client.get("/healthz/live")).status == 200


async def test_an_agent_that_watches_and_sweeps_is_ready(host: FakeHost, image: str, client_of: Ask) -> None:
    agent = host.agent()
    client = await client_of(agent)
    await agent.watch()
    assert (await client.get("/healthz/ready")).status == 503
    await agent.sweeper.sweep()
    answer = await client.get("/healthz/ready")
    assert (answer.status, await answer.json()) == (
        200,
        {
            "ready": True,
            "checks": {
                "engine": {"ok": True, "detail": "watching the engine"},
                "state": {"ok": True, "detail": "can be written"},
                "pins": {"ok": True, "detail": "can be read"},
                "sweep": {"ok": True, "detail": "the last sweep succeeded"},
            },
        },
    )


@pytest.mark.parametrize(
    ("alert", "check"),
    [
        (AlertId.ENGINE_DOWN, "engine"),
        (AlertId.STATE_FULL, "state"),
        (AlertId.HOLDS_UNREADABLE, "pins"),
        (AlertId.SWEEP_FAILED, "sweep"),
    ],
)
async def test_an_alert_is_the_reason_not_to_be_ready(
    alert: AlertId, check: str, host: FakeHost, image: str, client_of: Ask
) -> None:
    agent = await host.agent().watch()
    await agent.sweeper.sweep()
    agent.host_report.raise_alert(alert, "what is wrong", START)
    answer = await (await client_of(agent)).get("/healthz/ready")
    document = await answer.json()
    assert (answer.status, document["ready"]) == (503, False)
    wrong = {name: found["detail"] for name, found in document["checks"].items() if not found["ok"]}
    assert wrong == {check: "what is wrong"}


@pytest.mark.parametrize("path", ["/healthz/live", "/healthz/ready", "/metrics"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_only_reading_is_allowed(method: str, path: str, host: FakeHost, client_of: Ask) -> None:
    client = await client_of(host.agent())
    assert (await client.request(method, path)).status == 405
    answer = await client.head("/healthz/live")
    assert (answer.status, answer.headers["Server"], await answer.read()) == (200, "torchkeeper", b"")
