"""Connections to a broker of a test, and what comes over them."""

import asyncio

from agent.adapters.broker import Connection, Message
from agent.adapters.mqtt import broker
from agent.config import sections
from tests.support.mosquitto import Mosquitto
from tests.support.proc import PATIENCE


def make_options(server: Mosquitto, client_id: str = "a", version: str = "5", **keys: str) -> broker.Options:
    values = {"url": server.url, "version": version, "ca_file": str(server.ca_file or ""), **keys}
    return broker.options(sections.Mqtt.model_validate(values), client_id)


async def take(connection: Connection, count: int) -> list[Message]:
    """The next messages."""
    taken: list[Message] = []
    async with asyncio.timeout(PATIENCE):
        async for message in connection.messages():
            taken.append(message)
            if len(taken) == count:
                break
    return taken


def make_collector_options(server: Mosquitto, identity: str = "main", version: str = "5") -> broker.Options:
    mqtt = sections.Mqtt.model_validate({"url": server.url, "version": version, "ca_file": str(server.ca_file or "")})
    return broker.collector_options(mqtt, identity)[0]
