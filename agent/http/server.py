"""Listens on the address of [http]. The agent works the same where that cannot be done."""

import asyncio

import structlog
from aiohttp import web

from agent.adapters.clock import Clock
from agent.core.protocol.alerts import AlertId
from agent.reporting.host_report import HostReport

RETRY = 30.0  # seconds between attempts to listen
GOODBYE = 2.0  # seconds for requests that are still answered at the end

log = structlog.get_logger()


class HttpServer:
    """Serves one application on one address."""

    def __init__(self, app: web.Application, address: tuple[str, int], host_report: HostReport, clock: Clock) -> None:
        self._app = app
        self._address = address
        self._host_report = host_report
        self._clock = clock

    async def run(self) -> None:
        """Serve for ever. While the address cannot be used, an alert says why, and it is tried again."""
        runner = web.AppRunner(self._app, access_log=None, shutdown_timeout=GOODBYE)
        await runner.setup()
        try:
            while not await self._listen(runner):
                await self._clock.sleep(RETRY)
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    async def _listen(self, runner: web.AppRunner) -> bool:
        """Start to listen. Returns False, with an alert, if that is not possible."""
        host, port = self._address
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            reason = (error.strerror or str(error)).rpartition(": ")[2]
            message = (
                f"http.listen: cannot listen on {host}:{port}: {reason}; health and metrics are not served; "
                "stop what uses it, or set another address or port; this is tried again"
            )
            self._host_report.raise_alert(AlertId.HTTP_UNAVAILABLE, message, self._clock.now())
            return False
        self._host_report.clear_alert(AlertId.HTTP_UNAVAILABLE)
        log.info("serving health and metrics", action="http", address=f"{host}:{port}")
        return True
