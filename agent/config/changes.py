"""What differs between two settings: the keys that a running agent can take over, and those that need a restart."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from agent.config.settings import Settings

# Whole sections, and single keys. Every other key, of a section to come as well, needs a restart.
APPLIED = {"agent.mode", "images", "policy", "pressure", "schedule", "cleanup", "limits", "usage", "history"}
UNUSED = {"monitor"}  # no agent reads it


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The keys that differ, like `policy.ttl`, in the order of the sections."""

    applied: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()


def between(now: Settings, wanted: Settings) -> Changes:
    """The changes from the settings of a running agent to those that its configuration asks for."""
    keys = tuple(key for key in _differing(now, wanted) if _section(key) not in UNUSED)
    return Changes(
        applied=tuple(key for key in keys if _is_applied(key)),
        restart=tuple(key for key in keys if not _is_applied(key)),
    )


def merge(now: Settings, wanted: Settings) -> Settings:
    """The wanted settings, except for the keys that need a restart: these stay as they are now."""
    sections: dict[str, BaseModel] = {name: getattr(wanted, name) for name in Settings.model_fields if name in APPLIED}
    keys = (name for name in type(wanted.agent).model_fields if f"agent.{name}" in APPLIED)
    agent = {name: getattr(wanted.agent, name) for name in keys}
    return now.model_copy(update={**sections, "agent": now.agent.model_copy(update=agent)})


def _differing(now: Settings, wanted: Settings) -> Iterator[str]:
    for section in Settings.model_fields:
        before, after = getattr(now, section), getattr(wanted, section)
        for key in type(after).model_fields:
            if getattr(before, key) != getattr(after, key):
                yield f"{section}.{key}"


def _is_applied(key: str) -> bool:
    return key in APPLIED or _section(key) in APPLIED


def _section(key: str) -> str:
    return key.partition(".")[0]
