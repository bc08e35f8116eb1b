"""`torchkeeper history`: past decisions, with their outcomes."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli import output
from agent.cli.common import ConfigOption, JsonOption, parse_duration, print_notes
from agent.config import loading
from agent.core.protocol import payloads

if TYPE_CHECKING:
    from agent.adapters.sqlite import state_dir


VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show each decision, outcome, gap and other event in a row of its own.")
]


def history(
    config_file: ConfigOption = None,
    since: Annotated[str, typer.Option("--since", metavar="DURATION", help="How far back, like 7d.")] = "30d",
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show past evictions with their outcomes, and how to undo each one."""
    from agent.adapters.sqlite import state_dir
    from agent.cli import history_table

    settings = loading.load(config_file)
    back = parse_duration(since, "--since") or timedelta()
    place = state_dir.place_to_look_at(settings.agent.state_dir)
    look = state_dir.open_read_only(place.folder)
    events = asyncio.run(_events(look, datetime.now(UTC) - back))
    if as_json:
        host = settings.agent.host or look.store.host
        output.print_json({"host": host, "events": [event.model_dump(mode="json") for event in events]})
        return
    print_notes((*place.notes, *look.notes))
    output.show(history_table.history(events, since, verbose=verbose, width=output.width()))


async def _events(look: "state_dir.ReadOnlyState", since: datetime) -> list[payloads.Event]:
    events = await look.store.load_events(since)
    await look.store.close()
    return events
