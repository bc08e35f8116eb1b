"""`explain --look-inside`: read an image's torch through a container that is never started, and leave nothing behind.

A look is written to a journal before its container is made. If the look is killed, the agent or the next look removes
its container, but only one that has the name and the label of that look and never ran.
"""

import secrets
import time
from collections.abc import Iterable
from pathlib import Path

import structlog

from agent.adapters import inside_journal as journal
from agent.adapters.engine import EngineError, EngineInfo, NotFound
from agent.adapters.inside import Inside
from agent.adapters.inside_journal import Entry
from agent.adapters.state_errors import StateError
from agent.core.pytorch import guesses, version_file
from agent.core.pytorch.version_file import LookedInside, Torch

log = structlog.get_logger()

PATIENCE = 10.0  # seconds to wait for another look to end
NOTHING_MADE = (403, 404)  # a socket proxy refused the call, or there is no such image: there is no container
IN_FLIGHT = 600.0  # seconds after a request in which an engine may still make the container


async def look(engine: Inside, folder: Path, image_id: str, *, patience: float = PATIENCE) -> LookedInside:
    """Look inside one image. `patience`: seconds to wait for another look to end. Raises EngineError, StateError."""
    with journal.turn(folder, patience=patience):
        info = await engine.connect()
        try:
            await _tidy(engine, folder, info)
            paths = guesses.paths(*await engine.settings(image_id))
            return LookedInside(len(paths), await _read_all(engine, folder, info, image_id, paths))
        finally:
            await engine.close()


async def _read_all(
    engine: Inside, folder: Path, info: EngineInfo, image_id: str, paths: Iterable[str]
) -> dict[str, Torch]:
    entry = Entry(secrets.token_hex(8), info.id, image_id, time.time())
    journal.save(folder, [*journal.load(folder), entry])
    try:
        container = await engine.make(image_id, entry.token)
    except EngineError as error:
        if error.status in NOTHING_MADE:
            _drop(folder, entry)
        raise
    try:
        read = {path: await engine.read(container, path) for path in paths}
    finally:
        if await _is_settled(engine, entry):
            _drop(folder, entry)
    return {path: torch for path, text in read.items() if text and (torch := version_file.parse(text)) is not None}


def _drop(folder: Path, entry: Entry) -> None:
    journal.save(folder, [other for other in journal.load(folder) if other.token != entry.token])


async def tidy(engine: Inside, folder: Path) -> None:
    """Remove the containers that killed looks left on this engine. Does nothing during a look. Never raises."""
    if journal.is_empty(folder):
        return
    try:
        with journal.turn(folder, patience=0):
            info = await engine.connect()
            try:
                await _tidy(engine, folder, info)
            finally:
                await engine.close()
    except journal.LookBusy:
        return
    except (EngineError, StateError) as error:
        log.warning("could not remove the container of a look inside an image", action="look-inside", error=str(error))


async def _tidy(engine: Inside, folder: Path, info: EngineInfo) -> None:
    for entry in journal.load(folder):
        if entry.engine == info.id and await _is_settled(engine, entry):
            _drop(folder, entry)


async def _is_settled(engine: Inside, entry: Entry) -> bool:
    """Remove the container of a look that has ended. Returns whether it certainly left nothing."""
    made = await engine.find(entry.token)
    if made is None:
        return not 0 <= time.time() - entry.at < IN_FLIGHT
    if not made.ours:
        log.warning("a container of a look inside an image was started: it stays", action="look-inside", id=made.id)
        return True
    try:
        await engine.remove(made.id)
    except NotFound:
        return False
    log.info("removed the container of a look inside an image", action="look-inside", id=made.id)
    return True
