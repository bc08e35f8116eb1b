"""Commands that look and change nothing: `plan`, `images`, `explain`, `history`, `check`."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from agent import config
from agent.cli.common import ConfigOption, JsonOption, find_image, parse_duration, print_json, tell
from agent.core import documents, wire
from agent.core.model import Decision, Plan
from agent.core.usage import Use

if TYPE_CHECKING:
    from agent import state

AllOption = Annotated[bool, typer.Option("--all", "-a", help="Show untagged intermediate images, too.")]
USES_SHOWN = 5


def plan(config_file: ConfigOption = None, as_json: JsonOption = False, show_all: AllOption = False) -> None:
    """What a sweep would do now, and why, image by image. Changes nothing."""
    from agent.cli import tables

    seen, host, notes = asyncio.run(_plan(config.load(config_file)))
    if as_json:
        print_json(documents.plan(seen, host, notes))
        return
    tell(notes)
    tables.show(tables.plan(seen, show_all=show_all))


def images(config_file: ConfigOption = None, as_json: JsonOption = False, show_all: AllOption = False) -> None:
    """What is here: versions, last use, idle time, deadline, bytes, state."""
    from agent.cli import tables

    seen, host, notes = asyncio.run(_plan(config.load(config_file)))
    if as_json:
        print_json(documents.plan(seen, host, notes))
        return
    tell(notes)
    tables.show(tables.images(seen, show_all=show_all))


def explain(image: Annotated[str, typer.Argument(metavar="IMAGE")], config_file: ConfigOption = None) -> None:
    """The evidence, the uses, the rule that decides, and the bytes that would be freed."""
    from agent.cli import tables

    decision, uses, notes = asyncio.run(_explain(config.load(config_file), image))
    tell(notes)
    tables.show(tables.story(decision, uses, datetime.now(UTC)))


def history(
    config_file: ConfigOption = None,
    since: Annotated[str, typer.Option("--since", metavar="DURATION", help="How far back, like 7d.")] = "30d",
    as_json: JsonOption = False,
) -> None:
    """Decisions and their outcomes, and how to pull again what went."""
    from agent import state
    from agent.cli import tables

    settings = config.load(config_file)
    back = parse_duration(since, "--since") or timedelta()
    look = state.look(settings.agent.state_dir)
    events = asyncio.run(_events(look, datetime.now(UTC) - back))
    if as_json:
        host = settings.agent.host or look.store.host
        print_json({"host": host, "events": [event.model_dump(mode="json") for event in events]})
        return
    tell(look.notes)
    tables.show(tables.history(events, since))


def check(config_file: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Configuration, engine, broker, state: what works, what does not, and what to do."""
    from agent import check as checks
    from agent import logs
    from agent.cli import tables

    logs.configure("console", quiet=True)
    found = asyncio.run(checks.run(config_file))
    ok = all(item.ok for item in found)
    if as_json:
        print_json({"ok": ok, "checks": [item.document() for item in found]})
    else:
        tables.show(tables.checks(found))
    raise typer.Exit(0 if ok else 1)


async def _plan(settings: config.Settings) -> tuple[Plan, str, tuple[str, ...]]:
    from agent import daemon, state

    look = state.look(settings.agent.state_dir)
    _quiet()
    async with daemon.watching(settings, look.store, settings.agent.state_dir) as parts:
        seen = await parts.sweeper.plan()
    await look.store.close()
    alerts = (alert.message for alert in parts.board.alerts.values())
    return seen, look.store.host, (*look.notes, *alerts)


async def _explain(settings: config.Settings, text: str) -> tuple[Decision, list[Use], tuple[str, ...]]:
    from agent import daemon, state

    look = state.look(settings.agent.state_dir)
    _quiet()
    async with daemon.watching(settings, look.store, settings.agent.state_dir) as parts:
        seen = await parts.sweeper.plan()
        image = find_image(text, (decision.image for decision in seen.decisions))
        row = parts.intake.sight.row
        uses = await look.store.run(lambda tables: tables.uses(row, image.id, USES_SHOWN))
    await look.store.close()
    return next(item for item in seen.decisions if item.image.id == image.id), uses, look.notes


async def _events(look: "state.Look", since: datetime) -> list[wire.Event]:
    events = await look.store.run(lambda tables: tables.events(since))
    await look.store.close()
    return events


def _quiet() -> None:
    from agent import logs

    logs.configure("console", quiet=True)
