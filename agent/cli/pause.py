"""`torchkeeper pause` and `resume`: no evictions for a while."""

from dataclasses import replace
from datetime import UTC, datetime

from agent.cli.common import ConfigOption, ForOption, ReasonOption, change_overrides, parse_duration
from agent.config import loading
from agent.core import units
from agent.core.text import clean


def pause(config_file: ConfigOption = None, for_: ForOption = None, reason: ReasonOption = "") -> None:
    """Evict nothing, until `resume` or for a while. Uses are still recorded."""
    settings = loading.load(config_file)
    length, now = parse_duration(for_, "--for"), datetime.now(UTC)
    until = now + length if length else None
    why = clean(reason)
    change_overrides(
        settings, lambda old: replace(old, paused=True, paused_at=now, paused_until=until, pause_reason=why)
    )
    print(f"paused until {units.format_time(until)}" if until else "paused until `torchkeeper resume`")


def resume(config_file: ConfigOption = None) -> None:
    """End a pause."""
    settings = loading.load(config_file)
    change_overrides(
        settings,
        lambda old: replace(old, paused=False, paused_at=None, paused_until=None, pause_reason=""),
    )
    print("resumed")
