"""Serves the application on one address."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.web import Application

from agent.config.settings import ConfigError

__all__ = ["Application", "serving"]

GOODBYE = 2.0  # seconds for requests that are still answered at the end


@asynccontextmanager
async def serving(app: Application, host: str, port: int) -> AsyncIterator[None]:
    """Serve for the block. Raises ConfigError if the address cannot be listened on; it names monitor.listen."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=GOODBYE)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise ConfigError(f"monitor.listen: cannot listen on {host}:{port}: {_reason(error)}") from None
        yield
    finally:
        await runner.cleanup()


def _reason(error: OSError) -> str:
    reason = (error.strerror or str(error)).rpartition(": ")[2]
    return f"{reason}; stop what uses it, or set another address or port"
