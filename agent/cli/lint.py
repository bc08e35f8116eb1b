"""`torchkeeper lint`: names that mislead."""

import asyncio

from agent.cli import documents, output
from agent.cli.common import ConfigOption, JsonOption, print_notes, quiet
from agent.config import loading
from agent.config.settings import Settings
from agent.core.lint import linter as rules
from agent.core.policy.decision import Plan


def lint(config_file: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List names that mislead: outside the convention, look-alikes, tags that contradict their image. Changes nothing.

    The convention is org/framework:version-cuda<version>. Exit code 0 with findings, too: they are advice.
    """
    from agent.cli import tables

    seen, host, notes = asyncio.run(_look(loading.load(config_file)))
    verdicts = {item.image.id: item.verdict for item in seen.decisions}
    findings = rules.find((item.image for item in seen.decisions), verdicts)
    if as_json:
        output.print_json(documents.lint(findings, seen, host, notes))
        return
    print_notes(notes)
    output.show(tables.lint(findings, output.width()))


async def _look(settings: Settings) -> tuple[Plan, str, tuple[str, ...]]:
    """All images with their verdicts. What may be missing in the agent's state is no matter here, and not told."""
    from agent.daemon import session

    quiet()
    async with session.read_only_session(settings) as (components, _):
        seen = await components.planner.plan()
        return seen, components.store.host, tuple(alert.message for alert in components.host_report.alerts.values())
