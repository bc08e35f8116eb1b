"""A connection that is replaced by another one, and topics that the broker refuses on each of them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from structlog.testing import capture_logs

from agent.adapters.mqtt import broker
from agent.core.protocol import payloads
from agent.core.protocol.alerts import AlertId
from agent.reporting.publisher import Publisher, Settings
from agent.reporting.timing import ReportingTiming
from tests.support.messages import make_info
from tests.support.publishing import CLIENT_ID, TOPICS, PublisherRig

MANY = 12  # more than the ends of connections after which a row counts as poison


@asynccontextmanager
async def running(rig: PublisherRig, settings: Settings = Settings()) -> AsyncIterator[Publisher]:
    publisher = rig.make(settings=settings)
    task = asyncio.create_task(publisher.run())
    try:
        await rig.until(rig.online)
        yield publisher
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def replace(rig: PublisherRig, publisher: Publisher) -> None:
    """Replace the connection, and wait for the birth on the next one. No time passes."""
    connects = rig.server.connects
    publisher.reconnect()
    await rig.until(lambda: rig.server.connects > connects and rig.online())


async def test_the_connection_is_closed_cleanly_and_the_next_one_follows_at_once(rig: PublisherRig) -> None:
    structlog.reset_defaults()
    with capture_logs() as logs:
        async with running(rig) as publisher:
            await replace(rig, publisher)
            await rig.add(3)
            await rig.until(rig.is_empty)
    said = [json.loads(message.payload)["state"] for message in rig.server.published if message.topic == TOPICS.status]
    assert said[:3] == ["online", "offline", "online"]
    assert [line["action"] for line in logs] == ["mqtt-up", "mqtt-up"]


async def test_rows_in_flight_are_blamed_for_nothing_even_if_the_next_connection_is_lost(rig: PublisherRig) -> None:
    impatient = Settings(timing=ReportingTiming(offline_timeout=0.01, reconnect_backoff_max=1.0))
    async with running(rig, impatient) as publisher:
        await rig.add(2)
        for _ in range(MANY):
            rig.server.withheld = {TOPICS.events}
            await rig.until(lambda: len(rig.sent()) >= 2, tick=1.0)
            rig.server.acknowledging.clear()  # the next birth waits for its answer
            connects = rig.server.connects
            publisher.reconnect()
            await rig.until(lambda before=connects: rig.server.connects > before)  # type: ignore[misc]
            rig.server.cut(CLIENT_ID)
            rig.server.published.clear()
            rig.server.acknowledging.set()
        rig.server.withheld = set()
        await rig.until(rig.online, tick=1.0)
        await replace(rig, publisher)
        await rig.until(rig.is_empty)
        assert AlertId.OUTBOX_POISON not in rig.host_report.alerts
    assert not any(event.type == payloads.DroppedData.type for event in await rig.history())


async def test_a_broker_that_is_not_reached_is_tried_at_once(rig: PublisherRig) -> None:
    rig.server.stop()
    publisher = rig.make()
    task = asyncio.create_task(publisher.run())
    try:
        await rig.pass_time(600)
        rig.server.start()
        publisher.reconnect()
        await rig.until(rig.online)  # no time passes
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_refused_topics_are_logged_in_one_line_for_each_connection_with_the_way_out(rig: PublisherRig) -> None:
    rig.server.denied = {TOPICS.alert(alert): broker.NOT_AUTHORIZED for alert in AlertId}
    rig.server.denied[TOPICS.info] = broker.NOT_AUTHORIZED
    rig.host_report.show_info(make_info())
    structlog.reset_defaults()
    with capture_logs() as logs:
        async with running(rig, Settings(username="gpu-08")) as publisher:
            await rig.pass_time(120)
            await replace(rig, publisher)
            await rig.settle()
    lines = [line for line in logs if line["action"] == "mqtt-refused"]
    assert len(lines) == 2
    assert lines[0]["topics"].endswith(f" and {len(AlertId) + 1 - 4} more")
    assert TOPICS.info in lines[1]["topics"]
    assert "the login is 'gpu-08' but the host is 'gpu-07'" in lines[0]["hint"]
