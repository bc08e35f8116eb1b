"""The monitor of the demo, in a process of its own, and simulated hosts beside the demo's real one."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from agent.adapters import broker as broker_contract
from agent.adapters.broker import Connection
from agent.adapters.mqtt import broker
from agent.config import sections
from agent.demo import process, simulated_hosts
from agent.demo.errors import DemoError, DemoUsageError
from agent.fleet import extra
from agent.fleet.web import client

START = 120.0  # seconds
SIGN_OF_LIFE = 60.0  # seconds between two statuses of a simulated host, as of an agent


def require() -> None:
    """Raise DemoUsageError if the packages of the monitor are not installed."""
    if not extra.is_installed():
        raise DemoUsageError(f"torchkeeper demo --page needs: {extra.how_to_install()}")


async def start(config: Path, url: str, log: Path, env: Mapping[str, str]) -> process.Daemon:
    """Start the monitor, and wait until it is connected to the broker. The caller stops it. Raises DemoError."""
    argv = [*process.own_command(), "monitor", "--config", str(config)]
    daemon = process.Daemon("the monitor", argv, log, env)

    async def is_connected() -> bool:
        try:
            return (await client.health(url)).broker == "connected"
        except client.MonitorUnavailable:
            return False

    try:
        await daemon.until(is_connected, START)
    except BaseException:
        await daemon.stop()
        raise
    return daemon


@asynccontextmanager
async def simulating(broker_url: str) -> AsyncIterator[None]:
    """Publish what the simulated hosts would, for the block: once all of it, and then their signs of life."""
    options = broker.options(sections.Mqtt(url=broker_url), client_id="torchkeeper-demo-simulated-hosts")
    async with broker.connect(options) as connection:
        try:
            await publish_all(connection, datetime.now(UTC))
        except (broker_contract.BrokerUnavailable, broker_contract.PublishRefused) as error:
            raise DemoError(f"the simulated hosts cannot publish: {error}") from None
        living = asyncio.create_task(_show_life(connection), name="simulated-hosts")
        try:
            yield
        finally:
            living.cancel()
            await asyncio.gather(living, return_exceptions=True)


async def publish_all(connection: Connection, now: datetime) -> None:
    """The history and the state of all simulated hosts, each in its order."""
    for host in simulated_hosts.HOSTS:
        for message in (*simulated_hosts.events(host, now), *simulated_hosts.state(host, now)):
            await connection.publish(message.topic, message.payload, retain=message.retain)


async def _show_life(connection: Connection) -> None:
    while True:
        await asyncio.sleep(SIGN_OF_LIFE)
        for host in simulated_hosts.HOSTS:
            message = simulated_hosts.status(host, datetime.now(UTC))
            await connection.publish(message.topic, message.payload, retain=True)
