"""`torchkeeper explain`: one image, and what decides about it."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli import completion, documents, output
from agent.cli.common import ConfigOption, JsonOption, find_image, print_notes, quiet
from agent.config import loading
from agent.config.settings import Settings
from agent.core.policy import rules
from agent.core.pytorch.version_file import LookedInside

if TYPE_CHECKING:
    from agent.cli import explanation

USES_LISTED = 100  # the latest, in a JSON document


def explain(
    image: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE",
            help="A name, an image ID, or the start of one.",
            autocompletion=completion.image_names,
        ),
    ],
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
    look_inside: Annotated[
        bool,
        typer.Option(
            "--look-inside", help="Read torch/version.py in the image, by a container that is made and never started."
        ),
    ] = False,
) -> None:
    """Show why an image is kept or removed: evidence, uses, rule, bytes, and how to change it."""
    from agent.cli import explanation

    settings = loading.load(config_file)
    facts, host, notes = asyncio.run(_explain(settings, image, look_inside=look_inside))
    if as_json:
        document = documents.explain(facts.decision, facts.uses, facts.ignored, facts.at, host, notes)
        extra = {"inside": documents.inside(facts.inside), **documents.ways(facts)}
        output.print_json(document | extra)
        return
    print_notes(notes)
    output.show(explanation.render(facts, settings.core_policy()))


async def _explain(
    settings: Settings, text: str, *, look_inside: bool
) -> "tuple[explanation.Facts, str, tuple[str, ...]]":
    """The facts, the host, and notes about the agent's state."""
    from agent.cli import explanation
    from agent.daemon import session

    quiet()
    async with session.read_only_session(settings) as (components, notes):
        plan = await components.planner.plan()
        image = find_image(text, (decision.image for decision in plan.decisions), by_prefix=True)
        engine_store = components.ingestor.view.engine_store
        facts = explanation.Facts(
            at=plan.at,
            decision=next(item for item in plan.decisions if item.image.id == image.id),
            uses=await engine_store.load_uses(image.id, USES_LISTED),
            ignored=await engine_store.load_ignored_runs(image.id),
            pin=rules.pin_for(image, components.planner.load_overrides(plan.at), plan.at),
            containers=[
                item for item in components.ingestor.view.snapshot(plan.at).containers if item.image_id == image.id
            ],
        )
        host = components.store.host
    if look_inside:  # last: the container of the look must not count as one that uses the image
        facts = replace(facts, inside=await _look_inside(settings, image.id))
    return facts, host, notes


async def _look_inside(settings: Settings, image_id: str) -> LookedInside:
    from agent.adapters.docker import factory
    from agent.adapters.sqlite import state_dir
    from agent.daemon import look_inside

    place = state_dir.place_to_change(settings.agent.state_dir)  # the agent that runs there removes what a crash leaves
    return await look_inside.look(factory.make_inside(settings.docker), place.folder, image_id)
