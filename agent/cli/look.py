"""Commands that look and change nothing: `plan`, `images`, `explain`, `history`, `check`."""

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli import documents
from agent.cli.common import ConfigOption, JsonOption, find_image, parse_duration, print_json, quiet, tell
from agent.config import settings as config
from agent.core import units
from agent.core.policy import totals
from agent.core.policy.decision import Plan
from agent.core.policy.settings import Policy
from agent.core.protocol import payloads
from agent.core.pytorch.version_file import LookedInside

if TYPE_CHECKING:
    from agent.adapters.sqlite import state_dir
    from agent.cli import story

AllOption = Annotated[bool, typer.Option("--all", "-a", help="Show untagged intermediate images, too.")]
USES_LISTED = 100  # the latest, in a JSON document


def plan(
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
    show_all: AllOption = False,
    at: Annotated[
        str | None, typer.Option("--at", metavar="DURATION", help="So far ahead, if nothing is used until then.")
    ] = None,
    ttl: Annotated[
        str | None, typer.Option("--ttl", metavar="DURATION", help="With another policy.ttl; changes nothing.")
    ] = None,
) -> None:
    """What a sweep would do now, and why, image by image. Changes nothing."""
    from agent.cli import tables

    settings = config.load(config_file)
    ahead = parse_duration(at, "--at") or timedelta()
    instead = _with_ttl(settings, parse_duration(ttl, "--ttl"))
    seen = asyncio.run(_look(settings, ahead, instead))
    notes = [*seen.notes]
    if ahead:
        notes.append(f"as of {units.format_time(seen.plan.at)}, if nothing is used until then")
    if instead is not None:
        notes.append(f"by a policy.ttl of {units.format_duration(instead.ttl)}; rules and labels as they are")
    if as_json:
        print_json(documents.plan(seen.plan, seen.host, notes, stopped=seen.stopped))
        return
    tell(notes)
    tables.show(tables.plan(seen.plan, show_all=show_all))
    if seen.stopped:
        tables.show(tables.stopped(seen.stopped, seen.plan.at))


def _with_ttl(settings: config.Settings, ttl: timedelta | None) -> Policy | None:
    return None if ttl is None else replace(settings.core_policy(), ttl=ttl)


def images(config_file: ConfigOption = None, as_json: JsonOption = False, show_all: AllOption = False) -> None:
    """What is here: versions, last use, idle time, deadline, bytes, state."""
    from agent.cli import tables

    seen = asyncio.run(_look(config.load(config_file)))
    if as_json:
        print_json(documents.plan(seen.plan, seen.host, seen.notes))
        return
    tell(seen.notes)
    tables.show(tables.images(seen.plan, show_all=show_all))


def explain(
    image: Annotated[str, typer.Argument(metavar="IMAGE")],
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
    look_inside: Annotated[
        bool,
        typer.Option(
            "--look-inside", help="Read torch/version.py in the image, by a container that is made and never started."
        ),
    ] = False,
) -> None:
    """The evidence, the uses, the rule that decides, and the bytes that would be freed."""
    from agent.cli import story, tables

    settings = config.load(config_file)
    facts, host, notes = asyncio.run(_explain(settings, image, look_inside=look_inside))
    if as_json:
        document = documents.explain(facts.decision, facts.uses, facts.ignored, facts.at, host, notes)
        print_json(document | {"inside": documents.inside(facts.inside)})
        return
    tell(notes)
    tables.show(story.story(facts, settings.core_policy()))


def history(
    config_file: ConfigOption = None,
    since: Annotated[str, typer.Option("--since", metavar="DURATION", help="How far back, like 7d.")] = "30d",
    as_json: JsonOption = False,
) -> None:
    """Decisions and their outcomes, and how to pull again what went."""
    from agent.adapters.sqlite import state_dir
    from agent.cli import tables

    settings = config.load(config_file)
    back = parse_duration(since, "--since") or timedelta()
    place = state_dir.place_to_look_at(settings.agent.state_dir)
    look = state_dir.open_read_only(place.folder)
    events = asyncio.run(_events(look, datetime.now(UTC) - back))
    if as_json:
        host = settings.agent.host or look.store.host
        print_json({"host": host, "events": [event.model_dump(mode="json") for event in events]})
        return
    tell((*place.notes, *look.notes))
    tables.show(tables.history(events, since))


def check(config_file: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Configuration, engine, broker, state: what works, what does not, and what to do."""
    from agent.cli import tables
    from agent.diagnostics import checks

    quiet()
    found = asyncio.run(checks.run(config_file))
    ok = all(item.ok for item in found)
    if as_json:
        print_json({"ok": ok, "checks": [item.document() for item in found]})
    else:
        tables.show(tables.checks(found))
    raise typer.Exit(0 if ok else 1)


@dataclass(frozen=True, slots=True)
class PlanView:
    """One look at the engine."""

    plan: Plan
    host: str
    notes: tuple[str, ...]
    stopped: list[totals.StoppedOnly]


async def _look(settings: config.Settings, ahead: timedelta = timedelta(), instead: Policy | None = None) -> PlanView:
    from agent.daemon import run as daemon

    quiet()
    async with daemon.read_only_session(settings) as (components, notes):
        plan = await components.sweeper.plan(ahead=ahead, instead=instead)
        held = totals.stopped(plan, components.ingestor.view.snapshot(plan.at).containers)
        alerts = (alert.message for alert in components.host_report.alerts.values())
        return PlanView(plan, components.store.host, (*notes, *alerts), held)


async def _explain(
    settings: config.Settings, text: str, *, look_inside: bool
) -> "tuple[story.Facts, str, tuple[str, ...]]":
    from agent.cli import story
    from agent.daemon import run as daemon

    quiet()
    async with daemon.read_only_session(settings) as (components, notes):
        plan = await components.sweeper.plan()
        image = find_image(text, (decision.image for decision in plan.decisions), by_prefix=True)
        row = components.ingestor.view.row
        facts = story.Facts(
            at=plan.at,
            decision=next(item for item in plan.decisions if item.image.id == image.id),
            uses=await components.store.run(lambda tables: tables.uses(row, image.id, USES_LISTED)),
            ignored=await components.store.run(lambda tables: tables.ignored_runs(row, image.id)),
            containers=[
                item for item in components.ingestor.view.snapshot(plan.at).containers if item.image_id == image.id
            ],
        )
        host = components.store.host
    if look_inside:  # after the rest: the container of the look is none that holds the image
        facts = replace(facts, inside=await _look_inside(settings, image.id))
    return facts, host, notes


async def _look_inside(settings: config.Settings, image_id: str) -> LookedInside:
    from agent.adapters.docker.inside import DockerInside
    from agent.adapters.sqlite import state_dir
    from agent.daemon import look_inside

    place = state_dir.place_to_change(settings.agent.state_dir)  # the agent that runs there removes what a crash leaves
    return await look_inside.look(DockerInside(settings.docker.url), place.folder, image_id)


async def _events(look: "state_dir.ReadOnlyState", since: datetime) -> list[payloads.Event]:
    events = await look.store.run(lambda tables: tables.events(since))
    await look.store.close()
    return events
