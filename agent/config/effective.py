"""The settings in force, each with its source: the default, the file, or an environment variable."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from agent.config.settings import PREFIX, Settings
from agent.core import units

Source = Literal["default", "file", "environment"]
KeyPath = tuple[str, ...]  # like ("policy", "ttl")
_SIZES: tuple[KeyPath, ...] = (("pressure", "budget"), ("limits", "bytes_per_hour"))
_PERCENTAGES: tuple[KeyPath, ...] = (("pressure", "high"), ("pressure", "low"))
_PASSWORD = re.compile(r"(://[^/@\s]*?):[^/@\s]*@")


@dataclass(frozen=True, slots=True)
class Setting:
    """One key. `value`: in the form of the file, like "14d"; None if it is not set."""

    path: KeyPath
    value: Any
    source: Source
    place: str = ""  # the file or the variable

    @property
    def section(self) -> str:
        return ".".join(self.path[:-1])


def find(
    settings: Settings, file: Path | None, written: Mapping[str, Any], environ: Mapping[str, str]
) -> list[Setting]:
    """All settings, in the order of the default configuration.

    `written`: what is in the file. Passwords in addresses are left out.
    """
    variables = _variables(environ)
    in_file = dict(_leaves(written))
    found = []
    for path, value in _leaves(settings.model_dump(mode="json")):
        if path in variables:
            found.append(Setting(path, _as_written(path, value), "environment", variables[path]))
        elif path in in_file:
            found.append(Setting(path, _as_written(path, value), "file", str(file)))
        else:
            found.append(Setting(path, _as_written(path, value), "default"))
    return sorted(found, key=lambda setting: len(setting.path) > 2)  # a subsection after the keys of its section


def _variables(environ: Mapping[str, str]) -> dict[KeyPath, str]:
    """Key -> the environment variable that sets it; that of a single key wins over that of a whole section."""
    found: dict[KeyPath, str] = {}
    for name in sorted(environ, key=lambda name: name.count("__")):
        if name.upper().startswith(PREFIX) and name != "TORCHKEEPER_CONFIG":
            path = tuple(name.upper().removeprefix(PREFIX).lower().split("__"))
            found |= {(*path, *rest): name for rest in _keys_in(environ[name])}
    return found


def _keys_in(text: str) -> list[KeyPath]:
    """The keys in the JSON object of a variable; only () if the variable is a single value."""
    with suppress(ValueError):
        if isinstance(document := json.loads(text), dict):
            return [path for path, _ in _leaves(document)]
    return [()]


def _leaves(document: Mapping[str, Any], above: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    for key, value in document.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value


def _as_written(path: KeyPath, value: Any) -> Any:
    """A value in the form of the file: the settings have sizes and percentages as numbers."""
    if value is None:
        return None
    if path in _SIZES:
        return units.size_text(value)
    if path in _PERCENTAGES:
        return units.percent_text(value)
    return _PASSWORD.sub(r"\1:***@", value) if isinstance(value, str) else value


def as_toml(found: list[Setting]) -> Iterator[str]:
    """Lines of a configuration file, each key with its source as a comment."""
    section = None
    for setting in found:
        if setting.section != section:
            yield from ([""] if section is not None else [])
            section = setting.section
            yield f"[{section}]"
        line = f"{setting.path[-1]} = {_toml(setting.value)}" if setting.value is not None else _unset(setting)
        yield f"{line:<42} # {setting.place or setting.source}"


def _unset(setting: Setting) -> str:
    return f"# {setting.path[-1]} is not set"


def _toml(value: Any) -> str:
    """A value as TOML, in one line. A text in JSON is one in TOML, too."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items() if one is not None) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
