"""`torchkeeper images`: what is here."""

import asyncio

from agent.cli import documents, output, selection
from agent.cli.common import ConfigOption, JsonOption, print_notes
from agent.cli.plan import make_plan, print_names, refuse_both
from agent.config import loading


def images(
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
    show_all: selection.AllOption = False,
    evict: selection.EvictOption = False,
    sort: selection.SortOption = None,
    names_only: selection.QuietOption = False,
) -> None:
    """List the images: versions, last use, idle time, when each is due, bytes, decision."""
    from agent.cli import tables

    refuse_both(as_json, names_only)
    chosen = selection.Selection(show_all=show_all or as_json, evict=evict, sort=sort)
    view = asyncio.run(make_plan(loading.load(config_file)))
    if as_json:
        output.print_json(documents.plan(view.plan, view.host, view.notes, shown=chosen.of(view.plan)))
        return
    print_notes(view.notes)
    if names_only:
        print_names(chosen, view.plan)
        return
    output.show(tables.images(view.plan, chosen=chosen, width=output.width()))
