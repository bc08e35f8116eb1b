"""Checks of the configuration: patterns that match nothing, and a clean-up that may disturb builds."""

from datetime import timedelta
from pathlib import Path

from agent.config.settings import Settings
from agent.core import units
from agent.daemon import no_effect
from agent.diagnostics.check import Check

LONGEST_BUILD = timedelta(hours=1)  # most builds take less


def check_patterns(settings: Settings, source: Path | None) -> Check:
    """Where the settings come from, and which of their patterns can match no image."""
    detail = f"{source or 'built-in defaults'}; mode {settings.agent.mode}"
    useless = no_effect.patterns(settings)
    if not useless:
        return Check("configuration", True, detail)
    return Check("configuration", False, f"{detail}; {len(useless)} pattern(s) can never match", "; ".join(useless))


def check_cleanup(settings: Settings) -> list[Check]:
    """The first stages of a build have no name until it ends: they must not be evicted before."""
    after = settings.cleanup.dangling_after
    if after is None or after >= LONGEST_BUILD:
        return []
    detail = (
        f"cleanup.dangling_after is {units.duration_text(after)}: a build that takes longer may lose its first stages"
    )
    hint = f"set it to more than the longest build takes, at least {units.duration_text(LONGEST_BUILD)}"
    return [Check("cleanup", True, detail, hint)]
