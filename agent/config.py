"""Settings: built-in defaults, a TOML file, and the environment, in rising order. An error names the key."""

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from agent.core import model, units, wire

PREFIX = "TORCHKEEPER_"
DEFAULT_FILE = Path("/etc/torchkeeper/torchkeeper.toml")


class ConfigError(Exception):
    """The configuration cannot be used; the message names the key and the way out."""


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta():
        raise ValueError("must be longer than 0: an image would be evicted the moment it is idle")
    return value


def _some(value: int) -> int:
    if value <= 0:
        raise ValueError("must be more than 0 bytes")
    return value


def _glob(value: str) -> str:
    if not value.strip():
        raise ValueError("is an empty pattern; write a glob like 'teamai/*'")
    return value


Duration = Annotated[timedelta, BeforeValidator(units.duration)]
PositiveDuration = Annotated[timedelta, BeforeValidator(units.duration), AfterValidator(_positive)]
Size = Annotated[int, BeforeValidator(units.size), AfterValidator(_some)]
Glob = Annotated[str, AfterValidator(_glob)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Agent(Section):
    host: str = ""  # "": the engine's name, as a slug
    mode: Literal["enforce", "observe"] = "enforce"
    state_dir: Path = Path("/var/lib/torchkeeper")
    log: Literal["console", "json"] = "console"

    @model_validator(mode="after")
    def _host_is_a_topic_level(self) -> "Agent":
        if self.host and not wire.valid_host(self.host):
            raise ValueError(f"host: {self.host!r} cannot be part of a topic; try {wire.slug(self.host)!r}")
        return self


class Docker(Section):
    url: str = ""  # "": DOCKER_HOST, then the usual sockets

    @model_validator(mode="after")
    def _url(self) -> "Docker":
        if self.url and not re.match(r"(unix|tcp|http|https|ssh)://.", self.url):
            raise ValueError(f"url: {self.url!r} is not unix://PATH, tcp://HOST:PORT, https:// or ssh://")
        return self


class Mqtt(Section):
    url: str = ""  # "": no broker
    username: str = ""
    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    prefix: str = "torchkeeper"
    version: Literal["5", "3.1.1"] = "5"
    collector: str = "main"

    @model_validator(mode="after")
    def _url_and_prefix(self) -> "Mqtt":
        if "@" in self.url:  # the value is not repeated: it may hold a password
            raise ValueError(
                "url: the address holds a user or a password; they go into mqtt.username and mqtt.password_file"
            )
        if self.url and not re.fullmatch(r"mqtts?://([^/:@\s]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?/?", self.url):
            raise ValueError(f"url: {self.url!r} is not mqtt://host[:port] or mqtts://host[:port]")
        if not re.fullmatch(r"[^/+#\s\x00]+(/[^/+#\s\x00]+)*", self.prefix):
            raise ValueError(f"prefix: {self.prefix!r} cannot start a topic; leave out +, # and spaces")
        if not wire.valid_host(self.collector):
            raise ValueError(f"collector: {self.collector!r} is no name; try {wire.slug(self.collector)!r}")
        return self


class Images(Section):
    include: tuple[Glob, ...] = ()
    exclude: tuple[Glob, ...] = ()
    ambiguous: Literal["keep", "evict"] = "keep"


class Rule(Section):
    match: Glob
    ttl: PositiveDuration | None = None
    keep: StrictBool = False
    local_images: Literal["keep", "evict"] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Rule":
        if self.ttl is None and not self.keep and self.local_images is None:
            raise ValueError("has no effect; give it a ttl, keep = true or local_images")
        if self.keep and self.ttl is not None:
            raise ValueError("has both keep = true and a ttl; a kept image has no TTL, so leave one out")
        return self


class Policy(Section):
    ttl: PositiveDuration = timedelta(days=14)
    min_age: Duration = timedelta(hours=1)
    protect: tuple[Glob, ...] = ("*:latest", "*:stable")
    local_images: Literal["keep", "evict"] = "keep"
    rules: tuple[Rule, ...] = ()


class Limits(Section):
    evictions_per_sweep: Annotated[int, Field(gt=0)] | None = None
    bytes_per_hour: Size | None = None
    pause: Duration = timedelta(seconds=2)


class UsageSection(Section):
    gap_tolerance: Duration = timedelta(seconds=60)


class History(Section):
    retention: PositiveDuration = timedelta(days=90)


class Settings(BaseSettings):
    """Everything an operator can set. Frozen; one instance serves the whole process."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)

    agent: Agent = Agent()
    docker: Docker = Docker()
    mqtt: Mqtt = Mqtt()
    images: Images = Images()
    policy: Policy = Policy()
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

    def core_policy(self) -> model.Policy:
        """The settings that decide, as the pure core takes them."""
        return model.Policy(
            ttl=self.policy.ttl,
            min_age=self.policy.min_age,
            include=self.images.include,
            exclude=self.images.exclude,
            protect=self.policy.protect,
            rules=tuple(_core_rule(rule) for rule in self.policy.rules),
            evict_local=self.policy.local_images == "evict",
            evict_ambiguous=self.images.ambiguous == "evict",
            observe=self.agent.mode == "observe",
            limits=model.Limits(
                evictions_per_sweep=self.limits.evictions_per_sweep, bytes_per_hour=self.limits.bytes_per_hour
            ),
        )


def _core_rule(rule: Rule) -> model.Rule:
    evict_local = None if rule.local_images is None else rule.local_images == "evict"
    return model.Rule(match=rule.match, ttl=rule.ttl, keep=rule.keep, evict_local=evict_local)


def find_file(given: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file to read: the one given, else TORCHKEEPER_CONFIG, else the one in /etc where it exists."""
    if given is not None:
        return given
    if environ.get("TORCHKEEPER_CONFIG"):
        return Path(environ["TORCHKEEPER_CONFIG"])
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None


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
    except SettingsError as error:
        raise ConfigError(f"the environment: {error}; lists and tables are written as JSON, like '[\"a/*\"]'") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            data = tomllib.load(stream)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}") from None
    for key, value in data.items():
        if not isinstance(value, dict):
            raise ConfigError(f"{path}: {key}: is a value outside a section; {_sections()}")
    return data


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
    return f"{where}: {message}" if item["type"] == "value_error" else f"{where}: {message} (it is {item['input']!r})"


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
