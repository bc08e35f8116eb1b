"""The agent's events for the demo, received over MQTT or read from the agent's history."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from agent.adapters.broker import Connection
from agent.adapters.sqlite import state_dir
from agent.adapters.sqlite.store import Store
from agent.core.protocol import payloads
from agent.core.protocol.topics import Topics

POLL = 0.5  # seconds between two reads of the history
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


async def from_broker(connection: Connection, topics: Topics) -> AsyncIterator[payloads.Event]:
    """Subscribe at once, so that no event is missed. Returns the events, endlessly."""
    await connection.subscribe(topics.events)

    async def events() -> AsyncIterator[payloads.Event]:
        async for message in connection.messages():
            event = payloads.decode(payloads.Event, message.payload)
            if event is not None:
                yield event

    return events()


async def from_history(folder: Path) -> AsyncIterator[payloads.Event]:
    """The events in a state folder, each once, endlessly."""
    seen: set[str] = set()
    while True:
        async with _reading(folder) as store:
            events = await store.load_events(_BEGINNING)
        for event in events:
            if event.id not in seen:
                seen.add(event.id)
                yield event
        await asyncio.sleep(POLL)


async def known_images(folder: Path) -> set[str]:
    """The IDs of the images whose usage the agent records."""
    async with _reading(folder) as store:
        saved = await store.load_latest_engine()
    return {usage.image_id for usage in saved.usages} if saved is not None else set()


@asynccontextmanager
async def _reading(folder: Path) -> AsyncIterator[Store]:
    store = state_dir.open_read_only(folder).store
    try:
        yield store
    finally:
        await store.close()
