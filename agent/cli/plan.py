"""`torchkeeper plan`: what a sweep would do now, and why."""

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli import ahead, documents, output, selection
from agent.cli.common import ConfigOption, JsonOption, UsageError, parse_duration, print_notes, quiet
from agent.config import loading
from agent.config.settings import Settings
from agent.core import units
from agent.core.policy import totals
from agent.core.policy.decision import Action, Plan
from agent.core.policy.settings import Policy

if TYPE_CHECKING:
    from agent.daemon.build import Components

AtOption = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="DURATION",
        help="Show the plan as of this far in the future, if nothing is used until then.",
    ),
]
TtlOption = Annotated[
    str | None, typer.Option("--ttl", metavar="DURATION", help="Show the plan for another policy.ttl.")
]


def plan(
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
    show_all: selection.AllOption = False,
    evict: selection.EvictOption = False,
    sort: selection.SortOption = None,
    names_only: selection.QuietOption = False,
    at: AtOption = None,
    ttl: TtlOption = None,
) -> None:
    """Show what would be removed now, and why, image by image. Changes nothing."""
    from agent.cli import tables

    refuse_both(as_json, names_only)
    settings = loading.load(config_file)
    later = parse_duration(at, "--at") or timedelta()
    instead = _with_ttl(settings, parse_duration(ttl, "--ttl"))
    chosen = selection.Selection(show_all=show_all or as_json, evict=evict, sort=sort)
    view = asyncio.run(make_plan(settings, later, instead, look_ahead=not (as_json or names_only or later)))
    notes = [*view.notes, *_notes(view.plan, later, instead)]
    if as_json:
        shown = chosen.of(view.plan)
        output.print_json(documents.plan(view.plan, view.host, notes, stopped=view.stopped, shown=shown))
        return
    print_notes(notes)
    if names_only:
        print_names(chosen, view.plan)
        return
    output.show(tables.plan(view.plan, chosen=chosen, width=output.width()))
    if view.stopped and not evict:
        output.show(tables.stopped(view.stopped, view.plan.at, width=output.width()))
    if view.ahead is not None:
        output.show(tables.nothing_due(view.ahead, _command(view.ahead, ttl)))


def refuse_both(as_json: bool, names_only: bool) -> None:
    """Raises UsageError where a command should print both a document and names."""
    if as_json and names_only:
        raise UsageError("--quiet: does not work together with --json; leave one of them out")


def print_names(chosen: selection.Selection, seen: Plan) -> None:
    """The names of the images alone, one on each line."""
    for name in selection.quiet_names(chosen.of(seen)):
        print(name)


def _notes(seen: Plan, later: timedelta, instead: Policy | None) -> list[str]:
    notes = []
    if later:
        notes.append(f"as of {units.time_for_people(seen.at, seen.at - later)}, if nothing is used until then")
    if instead is not None:
        notes.append(f"by a policy.ttl of {units.format_duration(instead.ttl)}; rules and labels as they are")
    return notes


def _with_ttl(settings: Settings, ttl: timedelta | None) -> Policy | None:
    return None if ttl is None else replace(settings.core_policy(), ttl=ttl)


def _command(later: "Ahead", ttl: str | None) -> str:
    return f"torchkeeper plan --at {units.duration_text(later.by)}" + (f" --ttl {ttl}" if ttl else "")


@dataclass(frozen=True, slots=True)
class Ahead:
    """A plan of the future, for a host on which nothing is due now."""

    by: timedelta
    plan: Plan


@dataclass(frozen=True, slots=True)
class PlanView:
    """The images of the engine, as decided on at one moment."""

    plan: Plan
    host: str
    notes: tuple[str, ...]
    stopped: list[totals.StoppedOnly]
    ahead: Ahead | None = None  # None if something is due now, or if nothing will be


async def make_plan(
    settings: Settings, later: timedelta = timedelta(), instead: Policy | None = None, *, look_ahead: bool = False
) -> PlanView:
    """Connect, decide, disconnect. `later`: into the future. `instead`: of the policy in the settings.

    `look_ahead`: where nothing is due, also make the plan of when something is.
    """
    from agent.daemon import session

    quiet()
    async with session.read_only_session(settings) as (components, notes):
        plan = await components.planner.plan(ahead=later, instead=instead)
        stopped = totals.stopped(plan, components.ingestor.view.snapshot(plan.at).containers)
        alerts = (alert.message for alert in components.host_report.alerts.values())
        coming = await _look_ahead(components, plan, settings, instead) if look_ahead else None
        return PlanView(plan, components.store.host, (*notes, *alerts), stopped, coming)


async def _look_ahead(components: "Components", seen: Plan, settings: Settings, instead: Policy | None) -> Ahead | None:
    if any(item.action is Action.EVICT for item in seen.decisions):
        return None
    by = ahead.horizon(seen, (instead or settings.core_policy()).ttl)
    if by is None:
        return None
    coming = await components.planner.plan(ahead=by, instead=instead)
    return Ahead(by, coming) if any(item.action is Action.EVICT for item in coming.decisions) else None
