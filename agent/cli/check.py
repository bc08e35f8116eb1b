"""`torchkeeper check`: what works, what does not, and what to do."""

import asyncio

import typer

from agent.cli.common import ConfigOption, JsonOption, print_json, quiet


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
