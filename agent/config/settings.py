"""Settings: built-in defaults, a TOML file, and the environment, in rising order. An error names the key."""

import errno
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from agent.config import sections
from agent.config.sections import (
    Agent,
    Cleanup,
    Docker,
    History,
    Images,
    Limits,
    Mqtt,
    Policy,
    Pressure,
    Rule,
    UsageSection,
)
from agent.core.policy import settings as policy_settings
from agent.core.policy.schedule import Schedule
from agent.core.text import quoted

__all__ = [
    "Agent",
    "ConfigError",
    "Docker",
    "Mqtt",
    "Policy",
    "Rule",
    "Settings",
    "UsageSection",
    "find_file",
    "load",
    "schema",
]

PREFIX = "TORCHKEEPER_"
DEFAULT_FILE = Path("/etc/torchkeeper/torchkeeper.toml")


class ConfigError(Exception):
    """The configuration cannot be used; the message names the key and the way out."""


class Settings(BaseSettings):
    """Everything an operator can set. Frozen; one instance serves the whole process."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)

    agent: Agent = Agent()
    docker: Docker = Docker()
    mqtt: Mqtt = Mqtt()
    images: Images = Images()
    policy: Policy = Policy()
    pressure: Pressure = Pressure()
    schedule: sections.Schedule = sections.Schedule()
    cleanup: Cleanup = Cleanup()
    limits: Limits = Limits()
    usage: UsageSection = UsageSection()
    history: History = History()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings  # the environment over the file

    def core_policy(self) -> policy_settings.Policy:
        """The settings that decide, as the pure core takes them."""
        return policy_settings.Policy(
            ttl=self.policy.ttl,
            min_age=self.policy.min_age,
            include=self.images.include,
            exclude=self.images.exclude,
            known=self.images.known,
            protect=self.policy.protect,
            keep_newest=self.policy.keep_newest,
            rules=tuple(_core_rule(rule) for rule in self.policy.rules),
            evict_local=self.policy.local_images == "evict",
            evict_ambiguous=self.images.ambiguous == "evict",
            dangling_after=self.cleanup.dangling_after,
            build_cache_after=self.cleanup.build_cache_after,
            pressure=policy_settings.Pressure(
                high=self.pressure.high, low=self.pressure.low, budget=self.pressure.budget
            ),
            schedule=Schedule(windows=self.schedule.windows, timezone=self.schedule.timezone),
            observe=self.agent.mode == "observe",
            limits=policy_settings.Limits(
                evictions_per_sweep=self.limits.evictions_per_sweep, bytes_per_hour=self.limits.bytes_per_hour
            ),
        )


def _core_rule(rule: Rule) -> policy_settings.Rule:
    evict_local = None if rule.local_images is None else rule.local_images == "evict"
    return policy_settings.Rule(
        match=rule.match, ttl=rule.ttl, keep=rule.keep, keep_newest=rule.keep_newest, evict_local=evict_local
    )


def schema() -> dict[str, Any]:
    """The JSON Schema of the configuration file, for editors: generated from the sections."""
    document = Settings.model_json_schema(mode="validation")
    for section, keys in Settings.model_construct().model_dump(mode="json").items():
        document["properties"][section].pop("default")
        name = document["properties"][section]["$ref"].rpartition("/")[2]
        for key, default in keys.items():  # as they are written, not as Python has them
            document["$defs"][name]["properties"][key]["default"] = default
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "torchkeeper's configuration"}
    return {**head, **{key: value for key, value in document.items() if key not in ("title", "description")}}


def find_file(given: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file to read: the one given, else TORCHKEEPER_CONFIG, else the one in /etc where it exists."""
    if given is not None:
        return given
    if environ.get("TORCHKEEPER_CONFIG"):
        return Path(environ["TORCHKEEPER_CONFIG"])
    return None if _absent(DEFAULT_FILE) else DEFAULT_FILE


def _absent(path: Path) -> bool:
    """Whether certainly nothing has this name. A dangling link, or a folder that cannot be entered, proves nothing."""
    for name in (path, *path.parents):
        try:
            name.lstat()
        except FileNotFoundError:
            continue
        except OSError:
            return False
        return name != path and name.is_dir()
    return True


def load(file: Path | None = None) -> Settings:
    """The settings in force. Raises ConfigError, naming each bad key, its source and the way out."""
    path = find_file(file, os.environ)
    data = _read(path) if path else {}
    _refuse_unknown_environment(os.environ)
    try:
        return Settings(**data)
    except ValidationError as error:
        lines = [_explain(item) for item in error.errors(include_url=False)]
        raise ConfigError(f"{path or 'the environment'}: " + "; ".join(lines)) from None
    except (SettingsError, RecursionError) as error:
        raise ConfigError(f"the environment: {error}; lists and tables are written as JSON, like '[\"a/*\"]'") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            data = tomllib.load(stream)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}; {_way_out(path, error)}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}") from None
    except ValueError:  # what Python says is for programmers
        raise ConfigError(f"{path}: has a number of thousands of digits; write a smaller one") from None
    except RecursionError:
        raise ConfigError(f"{path}: has lists in lists, too deep to read; no key takes such a value") from None
    for key, value in data.items():
        if not isinstance(value, dict):
            raise ConfigError(f"{path}: {key}: is a value outside a section; {_sections()}")
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
    return "name a file that is there with --config or TORCHKEEPER_CONFIG"


def _refuse_unknown_environment(environ: Iterable[str]) -> None:
    known = set(Settings.model_fields)
    for name in sorted(environ):
        section = name.upper().removeprefix(PREFIX).split("__")[0].lower()
        if name.upper().startswith(PREFIX) and name != "TORCHKEEPER_CONFIG" and section not in known:
            raise ConfigError(f"the environment: {name}: is an unknown key; {_sections()}")


def _sections() -> str:
    return "the sections are " + ", ".join(f"[{name}]" for name in Settings.model_fields)


def _explain(item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return f"{where}: is an unknown key; {_known_keys(item['loc'])}"
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "value_error" and message.split(":")[0] in _fields_at(item["loc"]):
        return f"{where}.{message}"
    return f"{where}: {message}" + ("" if item["type"] == "value_error" else f" (it is {quoted(item['input'])})")


def _known_keys(location: tuple[str | int, ...]) -> str:
    return "known here: " + ", ".join(_fields_at(location[:-1])) if len(location) > 1 else _sections()


def _fields_at(location: tuple[str | int, ...]) -> list[str]:
    current: Any = Settings
    for part in location:
        if isinstance(part, int):
            current = Rule
        elif part in getattr(current, "model_fields", {}):
            current = current.model_fields[part].annotation
    return list(getattr(current, "model_fields", {}))
