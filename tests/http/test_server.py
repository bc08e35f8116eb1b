"""An address that cannot be listened on is an alert, and is tried again."""

import asyncio
import socket

import aiohttp
from aiohttp import web
from structlog.testing import capture_logs

from agent.http import server
from agent.http.server import HttpServer
from agent.reporting.host_report import HostReport
from tests.support import proc
from tests.support.fakes.clock import FakeClock


async def test_a_port_in_use_is_an_alert_until_it_is_free() -> None:
    report, clock = HostReport(), FakeClock()
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    with capture_logs() as logged:
        task = asyncio.create_task(HttpServer(web.Application(), ("127.0.0.1", port), report, clock).run())

        async def refused() -> bool:
            return "http-unavailable" in report.alerts

        await proc.eventually_async(refused)
        message = report.alerts["http-unavailable"].message
        taken.close()
        await clock.advance(server.RETRY)

        async def serves() -> bool:
            return not report.alerts

        await proc.eventually_async(serves)
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/") as answer:
            assert answer.status == 404
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert message.startswith(f"http.listen: cannot listen on 127.0.0.1:{port}: address already in use; health and")
    assert [(line["action"], line.get("state")) for line in logged] == [
        ("alert", "began"),
        ("alert", "ended"),
        ("http", None),
    ]
    assert not proc.listens(port)


async def test_an_address_of_another_machine_is_an_alert_too() -> None:
    report = HostReport()
    task = asyncio.create_task(HttpServer(web.Application(), ("192.0.2.1", 9477), report, FakeClock()).run())

    async def refused() -> bool:
        return "http-unavailable" in report.alerts

    await proc.eventually_async(refused)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert "cannot listen on 192.0.2.1:9477" in report.alerts["http-unavailable"].message
