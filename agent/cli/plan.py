"""`torchkeeper plan`: what a sweep would do now, and why."""

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated

import typer

from agent.cli import documents
from agent.cli.common import ConfigOption, JsonOption, parse_duration, print_json, print_notes, quiet
from agent.config import loading
from agent.config.settings import Settings
from agent.core import units
from agent.core.policy import totals
from agent.core.policy.decision import Plan
from agent.core.policy.settings import Policy

AllOption = Annotated[bool, typer.Option("--all", "-a", help="Show untagged intermediate images, too.")]


def plan(
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
    show_all: AllOption = False,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="DURATION",
            help="Show the plan as of this far in the future, assuming no further use.",
        ),
    ] = None,
    ttl: Annotated[
        str | None, typer.Option("--ttl", metavar="DURATION", help="Show the plan for another policy.ttl.")
    ] = None,
) -> None:
    """What a sweep would do now, and why, image by image. Changes nothing."""
    from agent.cli import tables

    settings = loading.load(config_file)
    ahead = parse_duration(at, "--at") or timedelta()
    instead = _with_ttl(settings, parse_duration(ttl, "--ttl"))
    view = asyncio.run(make_plan(settings, ahead, instead))
    notes = [*view.notes]
    if ahead:
        notes.append(f"as of {units.format_time(view.plan.at)}, if nothing is used until then")
    if instead is not None:
        notes.append(f"by a policy.ttl of {units.format_duration(instead.ttl)}; rules and labels as they are")
    if as_json:
        print_json(documents.plan(view.plan, view.host, notes, stopped=view.stopped))
        return
    print_notes(notes)
    tables.show(tables.plan(view.plan, show_all=show_all))
    if view.stopped:
        tables.show(tables.stopped(view.stopped, view.plan.at))


def _with_ttl(settings: Settings, ttl: timedelta | None) -> Policy | None:
    return None if ttl is None else replace(settings.core_policy(), ttl=ttl)


@dataclass(frozen=True, slots=True)
class PlanView:
    """The images of the engine, as decided on at one moment."""

    plan: Plan
    host: str
    notes: tuple[str, ...]
    stopped: list[totals.StoppedOnly]


async def make_plan(settings: Settings, ahead: timedelta = timedelta(), instead: Policy | None = None) -> PlanView:
    """Connect, decide, disconnect. `ahead`: into the future. `instead`: of the policy in the settings."""
    from agent.daemon import session

    quiet()
    async with session.read_only_session(settings) as (components, notes):
        plan = await components.planner.plan(ahead=ahead, instead=instead)
        stopped = totals.stopped(plan, components.ingestor.view.snapshot(plan.at).containers)
        alerts = (alert.message for alert in components.host_report.alerts.values())
        return PlanView(plan, components.store.host, (*notes, *alerts), stopped)
