"""`torchkeeper pause` and `resume`: no evictions for a while."""

from dataclasses import replace
from datetime import UTC, datetime

from agent.cli.common import ConfigOption, ForOption, ReasonOption, change_overrides, parse_duration, parse_reason
from agent.config import loading
from agent.core import units


def pause(config_file: ConfigOption = None, for_: ForOption = None, reason: ReasonOption = "") -> None:
    """Evict nothing, until `resume` or for a while. Uses are still recorded."""
    from agent.adapters import sharing

    settings = loading.load(config_file)
    length, why, now = parse_duration(for_, "--for"), parse_reason(reason), datetime.now(UTC)
    until, by = now + length if length else None, sharing.person()
    change_overrides(
        settings,
        lambda old: replace(old, paused=True, paused_at=now, paused_until=until, pause_reason=why, paused_by=by),
    )
    print(f"paused until {units.format_time(until)}" if until else "paused until `torchkeeper resume`")


def resume(config_file: ConfigOption = None) -> None:
    """End a pause."""
    settings = loading.load(config_file)
    change_overrides(
        settings,
        lambda old: replace(old, paused=False, paused_at=None, paused_until=None, pause_reason="", paused_by=""),
    )
    print("resumed")
