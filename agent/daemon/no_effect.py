"""Settings that have no effect on this agent: patterns that can match nothing, pins in a folder it does not read."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from agent.adapters import overrides
from agent.adapters.sqlite import state_dir
from agent.config.settings import Settings
from agent.core.policy.rules import why_never_matches
from agent.core.protocol.alerts import AlertId


def alerts(settings: Settings, folder: Path, now: datetime) -> dict[AlertId, str]:
    """Messages of the alerts that last as long as the agent runs with these settings on this folder."""
    found = {
        AlertId.PATTERN_MATCHES_NOTHING: "; ".join(patterns(settings)),
        AlertId.PINS_ELSEWHERE: pins_elsewhere(settings.agent.state_dir, folder, now),
    }
    return {alert: message for alert, message in found.items() if message}


def patterns(settings: Settings) -> list[str]:
    """One sentence for each pattern that can match no image: its key, the pattern, the reason, and a proposal."""
    return [
        f"{key}: {pattern!r} can match no image: {why}"
        for key, pattern in _patterns(settings)
        if (why := why_never_matches(pattern))
    ]


def _patterns(settings: Settings) -> Iterable[tuple[str, str]]:
    """Each pattern on references, with its key."""
    yield from (("images.include", pattern) for pattern in settings.images.include)
    yield from (("images.exclude", pattern) for pattern in settings.images.exclude)
    yield from (("policy.protect", pattern) for pattern in settings.policy.protect)
    yield from (("policy.rules.match", rule.match) for rule in settings.policy.rules)


def pins_elsewhere(configured: Path, folder: Path, now: datetime) -> str:
    """A sentence about pins and a pause in the XDG folder, which an agent used instead of `configured`; "" for none."""
    other = state_dir.xdg_folder()
    if folder == other or not state_dir.used_instead_of(configured):
        return ""
    file = other / overrides.FILE
    try:
        found = overrides.load(other)
    except overrides.OverridesUnreadable as error:
        return f"this agent reads {folder}, and no longer {other}; pins may be there, but {error.detail}; {error.hint}"
    pins = sum(not pin.over(now) for pin in found.pins)
    what = " and ".join(filter(None, [f"{pins} pin(s)" if pins else "", "a pause" if found.is_paused(now) else ""]))
    if not what:
        return ""
    return f"{what} in {file} have no effect: this agent reads {folder}. Set them again, and move that file away"
