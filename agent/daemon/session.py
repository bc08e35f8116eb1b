"""One proven look at the engine, for a command that ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from agent.adapters.clock import SystemClock
from agent.adapters.docker import factory
from agent.adapters.sqlite import state_dir
from agent.adapters.sqlite.store import Store
from agent.config.settings import Settings
from agent.core.protocol.topics import slug
from agent.daemon import build
from agent.daemon.build import Components

PROBE_TIMEOUT = 60.0  # seconds to wait for layers to be read: nothing else waits for a command


@asynccontextmanager
async def engine_session(
    settings: Settings, store: Store, folder: Path, patience: float = PROBE_TIMEOUT
) -> AsyncIterator[Components]:
    """The components of an agent, caught up with the engine, but without its loops and its publisher.

    Raises EngineError where the engine cannot be watched.
    """
    engine = factory.make_engine(settings.docker)
    components = build.make_agent(settings, store, folder, SystemClock(), engine, patience)
    session = asyncio.create_task(components.watcher.session(), name="watcher")
    ready = asyncio.create_task(components.watcher.ready.wait(), name="ready")
    try:
        await asyncio.wait({session, ready}, return_when=asyncio.FIRST_COMPLETED)
        if session.done():
            session.result()
        if not store.host or settings.agent.host:
            await store.name_host(settings.agent.host or slug(_engine_name(components)))
        yield components
    finally:
        for task in (session, ready):
            task.cancel()
        await asyncio.gather(session, ready, return_exceptions=True)


@asynccontextmanager
async def read_only_session(
    settings: Settings, patience: float = PROBE_TIMEOUT
) -> AsyncIterator[tuple[Components, tuple[str, ...]]]:
    """Like `engine_session`, but on a copy of the agent's state, so that nothing changes; and notes about that state.

    Raises StateError and EngineError.
    """
    place = state_dir.place_to_look_at(settings.agent.state_dir)
    look = state_dir.open_read_only(place.folder)
    try:
        async with engine_session(settings, look.store, place.folder, patience) as components:
            yield components, (*place.notes, *look.notes)
    finally:
        await look.store.close()


def _engine_name(components: Components) -> str:
    engine = components.ingestor.view.engine
    return engine.name if engine is not None else ""
