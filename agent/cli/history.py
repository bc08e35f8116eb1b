"""`torchkeeper history`: past decisions, with their outcomes."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.common import ConfigOption, JsonOption, parse_duration, print_json, print_notes
from agent.config import loading
from agent.core.protocol import payloads

if TYPE_CHECKING:
    from agent.adapters.sqlite import state_dir


def history(
    config_file: ConfigOption = None,
    since: Annotated[str, typer.Option("--since", metavar="DURATION", help="How far back, like 7d.")] = "30d",
    as_json: JsonOption = False,
) -> None:
    """Decisions and their outcomes, and how to pull removed images again."""
    from agent.adapters.sqlite import state_dir
    from agent.cli import tables

    settings = loading.load(config_file)
    back = parse_duration(since, "--since") or timedelta()
    place = state_dir.place_to_look_at(settings.agent.state_dir)
    look = state_dir.open_read_only(place.folder)
    events = asyncio.run(_events(look, datetime.now(UTC) - back))
    if as_json:
        host = settings.agent.host or look.store.host
        print_json({"host": host, "events": [event.model_dump(mode="json") for event in events]})
        return
    print_notes((*place.notes, *look.notes))
    tables.show(tables.history(events, since))


async def _events(look: "state_dir.ReadOnlyState", since: datetime) -> list[payloads.Event]:
    events = await look.store.load_events(since)
    await look.store.close()
    return events
