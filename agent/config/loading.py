"""Load the settings: built-in defaults, overridden by a TOML file, overridden by the environment."""

import errno
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import SettingsError

from agent.config import messages
from agent.config.settings import PREFIX, ConfigError, Settings

DEFAULT_FILE = Path("/etc/torchkeeper/torchkeeper.toml")


def find_file(given: Path | None, environ: Mapping[str, str], default: Path = DEFAULT_FILE) -> Path | None:
    """The file to read: the given one, else the one in TORCHKEEPER_CONFIG, else the default one if it exists."""
    if given is not None:
        return given
    if environ.get("TORCHKEEPER_CONFIG"):
        return Path(environ["TORCHKEEPER_CONFIG"])
    return None if _absent(default) else default


def _absent(path: Path) -> bool:
    """Whether it is certain that nothing exists at this path. A dangling link exists.

    If a folder above the path cannot be entered, it is not certain.
    """
    for name in (path, *path.parents):
        try:
            name.lstat()
        except FileNotFoundError:
            continue
        except OSError:
            return False
        return name != path and name.is_dir()
    return True


def load(file: Path | None = None, default: Path = DEFAULT_FILE) -> Settings:
    """The settings in force. Raises ConfigError; its message names each wrong key, its source and the way out."""
    path = find_file(file, os.environ, default)
    data = read(path) if path else {}
    _refuse_unknown_environment(os.environ)
    try:
        return Settings(**data)
    except ValidationError as error:
        mistakes = messages.describe(error, data, os.environ)
        raise ConfigError(f"{path or 'the environment'}: {mistakes}") from None
    except (SettingsError, RecursionError) as error:
        raise ConfigError(f"the environment: {error}; lists and tables are written as JSON, like '[\"a/*\"]'") from None


def read(path: Path) -> dict[str, Any]:
    """The sections of a file, as they are written. Raises ConfigError if it cannot be read."""
    try:
        with path.open("rb") as stream:
            data = tomllib.load(stream)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}; {_way_out(path, error)}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}") from None
    except ValueError:  # Python's own message is for programmers
        raise ConfigError(f"{path}: has a number of thousands of digits; write a smaller one") from None
    except RecursionError:
        raise ConfigError(f"{path}: nests lists too deeply; no key takes such a value") from None
    for key, value in data.items():
        if not isinstance(value, dict):
            raise ConfigError(f"{path}: {key}: is a value outside a section; {messages.outside_section(key)}")
    return data


def _way_out(path: Path, error: OSError) -> str:
    if error.errno == errno.EISDIR:
        return f"it is a folder; name the file in it, like {path / DEFAULT_FILE.name}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"run this as the agent's user, or let uid {os.geteuid()} read it and enter the folders above it"
    for name in (path, *path.parents):
        if name.is_symlink() and not name.exists():
            return f"{name} is a dangling link to {name.readlink()}; restore that, or name another file"
    if error.errno == errno.ENOTDIR:
        return "a part of its path is not a folder; correct the path, or move the file that is in its way"
    return "name an existing file with --config or TORCHKEEPER_CONFIG"


def _refuse_unknown_environment(environ: Iterable[str]) -> None:
    known = set(Settings.model_fields)
    for name in sorted(environ):
        section = name.upper().removeprefix(PREFIX).split("__")[0].lower()
        if name.upper().startswith(PREFIX) and name != "TORCHKEEPER_CONFIG" and section not in known:
            raise ConfigError(f"the environment: {name}: is an unknown key; {messages.unknown_variable(name)}")
