"""Completes names while a person types in a shell. It is quick, and a failure only means that nothing is offered."""

import asyncio
import io
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from agent.cli.common import quiet
from agent.config import loading
from agent.config.settings import Settings

if TYPE_CHECKING:
    from agent.adapters.docker.engine import DockerEngine

VARIABLE = "_TORCHKEEPER_COMPLETE"  # what a shell sets to ask for completions
TIMEOUT = 2.0  # seconds: a person waits with a finger on the key
MOST = 500  # names

Names = Callable[[Settings], Awaitable[Iterable[str]]]


# What is offered


def image_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """The images of this host: Docker knows them, and the agent's state where Docker does not answer."""
    return _offer(ctx, incomplete, (_from_engine, _from_state))


def pinned_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """What is pinned now."""
    return _offer(ctx, incomplete, (_pinned,))


def evicted_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """The images that were removed and can be pulled again, the latest first."""
    return _offer(ctx, incomplete, (_evicted,))


def _offer(ctx: typer.Context, incomplete: str, sources: Iterable[Names]) -> list[str]:
    """The names of the first source that can be read, as far as they continue what was typed."""
    quiet()
    for source in sources:
        try:
            names = asyncio.run(_in_time(source(loading.load(_config_file(ctx)))))
        except Exception:  # noqa: S112 - nobody could read an error in the middle of a line that is being typed
            continue
        return [name for name in dict.fromkeys(names) if name.startswith(incomplete) and name.isprintable()][:MOST]
    return []


async def _in_time(names: Awaitable[Iterable[str]]) -> Iterable[str]:
    return await asyncio.wait_for(names, TIMEOUT)


def _config_file(ctx: typer.Context) -> Path | None:
    given = ctx.params.get("config_file")
    return Path(given) if given else None


def _from_engine(settings: Settings) -> Awaitable[Iterable[str]]:
    from agent.adapters.docker import factory

    return _list(factory.make_engine(settings.docker))


async def _list(engine: "DockerEngine") -> Iterable[str]:
    try:
        await engine.connect()
        return await engine.names()
    finally:
        await engine.close()


async def _from_state(settings: Settings) -> Iterable[str]:
    from agent.adapters.sqlite import state_dir

    store = state_dir.open_read_only(state_dir.place_to_look_at(settings.agent.state_dir).folder).store
    try:
        stored = await store.load_latest_engine()
        return sorted(name for usage in (stored.usages if stored else ()) for name in usage.references)
    finally:
        await store.close()


async def _pinned(settings: Settings) -> Iterable[str]:
    from agent.adapters import overrides
    from agent.adapters.sqlite import state_dir

    now = datetime.now(UTC)
    pins = overrides.load(state_dir.place_to_look_at(settings.agent.state_dir).folder).pins
    return [pin.reference or pin.id[7:19] for pin in pins if not pin.over(now)]


async def _evicted(settings: Settings) -> Iterable[str]:
    from agent.adapters.sqlite import state_dir
    from agent.core.policy.decision import Outcome
    from agent.core.protocol import payloads

    store = state_dir.open_read_only(state_dir.place_to_look_at(settings.agent.state_dir).folder).store
    try:
        events = await store.load_events(datetime.now(UTC) - timedelta(days=3650))
    finally:
        await store.close()
    ended = [data for event in reversed(events) if isinstance(data := payloads.data_of(event), payloads.OutcomeData)]
    removed = [data.image for data in ended if data.outcome is Outcome.REMOVED and data.image.origin]
    return [name for image in removed for name in image.references or [str(image.origin)]]


# What a shell asks


def is_asked(environ: MutableMapping[str, str]) -> bool:
    return bool(environ.get(VARIABLE))


def answer(run: Callable[[], None]) -> int:
    """Answer the shell. Returns the exit code, by which fish tells names from files."""
    prefix = _join_at_colons(os.environ) if os.environ[VARIABLE] == "complete_bash" else ""
    out, code = io.StringIO(), 0
    with redirect_stdout(out), redirect_stderr(io.StringIO()):
        try:
            run()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0
        except Exception:
            return 0
    lines = (line.removeprefix(prefix) for line in out.getvalue().splitlines() if line)
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return code


def _join_at_colons(environ: MutableMapping[str, str]) -> str:
    """Put together what bash took apart: `team/a:1` is three words for it, of which it replaces the last one only.

    Returns the part of the word that bash does not replace; "" if it did not take the word apart.
    """
    words = environ.get("COMP_WORDS", "").split("\n")
    current = int(environ.get("COMP_CWORD", "0"))
    joined: list[str] = []
    place, after_colon = 0, False
    for number, word in enumerate(words):
        if joined and (after_colon or word == ":") and word:
            joined[-1] += word
        else:
            joined.append(word)
        after_colon = word == ":"
        if number == current:
            place = len(joined) - 1
    environ["COMP_WORDS"], environ["COMP_CWORD"] = "\n".join(joined), str(place)
    if place >= len(joined) or joined[place] == words[current]:
        return ""
    return joined[place][: joined[place].rindex(":") + 1]
