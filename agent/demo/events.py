"""What the agent tells, as an audience hears it: over MQTT, or read from its history."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from agent.adapters.broker import Connection
from agent.adapters.sqlite import state_dir
from agent.adapters.sqlite.store import Store
from agent.adapters.sqlite.usage_tables import UsageTables
from agent.core.protocol import payloads

POLL = 0.5  # seconds between two looks at the history
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
T = TypeVar("T")


async def from_broker(connection: Connection, topics: payloads.Topics) -> AsyncIterator[payloads.Event]:
    """Subscribe now, so that nothing is missed; then the events, endlessly."""
    await connection.subscribe(topics.events)

    async def events() -> AsyncIterator[payloads.Event]:
        async for message in connection.messages():
            event = payloads.decode(payloads.Event, message.payload)
            if event is not None:
                yield event

    return events()


async def from_history(folder: Path) -> AsyncIterator[payloads.Event]:
    """The events of a state folder, endlessly, each once."""
    seen: set[str] = set()
    while True:
        for event in await _look(folder, lambda tables: tables.events(_BEGINNING)):
            if event.id not in seen:
                seen.add(event.id)
                yield event
        await asyncio.sleep(POLL)


async def known_images(folder: Path) -> set[str]:
    """The IDs of the images whose clocks the agent keeps."""
    saved = await _look(folder, lambda tables: tables.load_latest())
    return {usage.image_id for usage in saved.usages} if saved is not None else set()


async def _look(folder: Path, ask: Callable[[UsageTables], T]) -> T:
    store: Store = state_dir.open_read_only(folder).store
    try:
        return await store.run(ask)
    finally:
        await store.close()
