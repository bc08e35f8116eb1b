"""`torchkeeper sweep`: one sweep, without an agent."""

import asyncio
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli import documents
from agent.cli.common import ConfigOption, JsonOption, print_json, print_notes, quiet
from agent.config import loading
from agent.config.settings import Settings
from agent.core.policy.decision import Outcome

if TYPE_CHECKING:
    from agent.eviction.results import SweepResult


def sweep(
    config_file: ConfigOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Decide, but remove and record nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """One sweep now, then exit. Refused while an agent runs here."""
    from agent.cli import tables

    done, host, notes = asyncio.run(_sweep(loading.load(config_file), dry_run=dry_run))
    if as_json:
        print_json(documents.plan(done.initial_plan, host, notes, done.outcomes, done.errors))
    else:
        print_notes(notes)
        tables.show(tables.sweep(done))
    raise typer.Exit(1 if Outcome.FAILED in done.outcomes.values() else 0)


async def _sweep(settings: Settings, *, dry_run: bool) -> "tuple[SweepResult, str, tuple[str, ...]]":
    from agent.adapters import lock
    from agent.adapters.sqlite import state_dir
    from agent.daemon import session

    quiet()
    configured = settings.agent.state_dir
    if dry_run and (running := state_dir.agents_on(configured)):
        raise lock.StateBusy(running[0])
    place = state_dir.place_to_look_at(configured) if dry_run else state_dir.place_for_run(configured)
    with nullcontext() if dry_run else lock.locked(place.folder):
        if dry_run:
            look = state_dir.open_read_only(place.folder)
            store, notes = look.store, look.notes
        else:
            store, word = state_dir.open_store(place.folder, datetime.now(UTC))
            notes = tuple(note for note in (word, store.copied) if note)
        try:
            async with session.engine_session(settings, store, place.folder) as components:
                done = await components.sweeper.sweep(dry_run=dry_run)
            alerts = (alert.message for alert in components.host_report.alerts.values())
            return done, store.host, (*place.notes, *notes, *alerts)
        finally:
            await store.close()
