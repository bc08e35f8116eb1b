"""`torchkeeper images`: what is here."""

import asyncio

from agent.cli import documents
from agent.cli.common import ConfigOption, JsonOption, print_json, print_notes
from agent.cli.plan import AllOption, make_plan
from agent.config import loading


def images(config_file: ConfigOption = None, as_json: JsonOption = False, show_all: AllOption = False) -> None:
    """What is here: versions, last use, idle time, deadline, bytes, state."""
    from agent.cli import tables

    view = asyncio.run(make_plan(loading.load(config_file)))
    if as_json:
        print_json(documents.plan(view.plan, view.host, view.notes))
        return
    print_notes(view.notes)
    tables.show(tables.images(view.plan, show_all=show_all))
