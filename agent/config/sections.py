"""The sections of the configuration, each key with its type, its default, and what is refused."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StrictBool,
    WithJsonSchema,
    model_validator,
)

from agent.core import globs, units
from agent.core.policy import rules, schedule
from agent.core.protocol.topics import slug, valid_host
from agent.core.pytorch import operators
from agent.core.usage import attribution


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta():
        raise ValueError("must be longer than 0: an image would be evicted the moment it is idle")
    return value


def _at_least_one(value: int) -> int:
    if value <= 0:
        raise ValueError("must be more than 0 bytes")
    return value


def _glob(value: str) -> str:
    if not value.strip():
        raise ValueError("is an empty pattern; write a glob like 'teamai/*'")
    return value


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is not a number; write how many, like 2")
    return value


def _flag(value: object) -> object:
    """A variable of the environment is a text."""
    if value in ("true", "false"):
        return value == "true"
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _timezone(value: str) -> str:
    schedule.zone(value)
    return value


def _window(value: object) -> schedule.Window:
    if isinstance(value, schedule.Window):
        return value
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a window; write it like 'Mon-Fri 02:00-05:00'")
    return schedule.parse(value)


def _matches_all(value: str) -> bool:
    """The tags have nothing in common but the colon, so what matches them all matches everything; so do the digests."""
    tags = ("a:b", "registry.io:5000/team/name:1-x", "0/y:Z")
    digests = [f"{globs.repository(tag)}@sha256:{digit * 64}" for tag, digit in zip(tags, "0af", strict=True)]
    return any(all(globs.matches(value, name) for name in every) for every in (tags, digests))


def _not_all(value: str) -> str:
    if _matches_all(value):
        raise ValueError(f"{value!r} matches every image, so none would ever go; to see and not evict: agent.mode")
    return value


def _own_name(value: str) -> str:
    meant = operators.in_full(value)
    if any(map(_matches_all, meant)):
        raise ValueError(f"{value!r} matches every image, so that all would be taken for PyTorch; name your own ones")
    if why := rules.why_never_matches(meant[-1]):
        raise ValueError(f"{value!r} can match no image: {why}")
    return value


def _not_every_container(value: str) -> str:
    """As for images: what covers all of these, by their name, their image or a label, covers everything."""
    every_name = [attribution.Run(name=name) for name in ("a", "Train_1", "0.x-y")]
    every_image = [attribution.Run(image=image) for image in ("a", "registry.io:5000/team/name:1-x", "0/y:Z")]
    every_label = [attribution.Run(labels={key: value}) for key, value in (("a", "b"), ("com.x/y", "Z 1"), ("0", ""))]
    if any(
        all(map(attribution.IgnoredContainers((value,)).pattern_for, every))
        for every in (every_name, every_image, every_label)
    ):
        raise ValueError(f"{value!r} matches every container, so that nothing would count as a use")
    return value


def _addresses(value: object) -> object:
    """One address of a broker, or a list of them. "" is none."""
    if isinstance(value, list | tuple):
        for number, entry in enumerate(value, 1):
            _check_address(entry, f"entry {number} of the list: ")
        return tuple(value)
    if value != "":
        _check_address(value, "")
    return value


def _check_address(value: object, place: str) -> None:
    if "@" in str(value):  # the value is not repeated: it may hold a password
        raise ValueError(
            f"{place}the address holds a user or a password; they go into mqtt.username and mqtt.password_file"
        )
    parts = re.fullmatch(r"mqtts?://([^/:@\s]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?/?", str(value))
    if parts is None:
        raise ValueError(f"{place}{value!r} is not mqtt://host[:port] or mqtts://host[:port]")
    if int(parts[2] or 1) not in range(1, 65536):
        raise ValueError(f"{place}{value!r} has a port that is not between 1 and 65535")


def _keepalive(value: timedelta) -> timedelta:
    if value.microseconds or not timedelta(seconds=5) <= value <= timedelta(seconds=65535):
        raise ValueError("must be whole seconds between 5s and 65535s, which is the most that MQTT can say")
    return value


def _inventory_every(value: timedelta) -> timedelta:
    if value < timedelta(seconds=2):
        raise ValueError("must be at least 2s: an inventory carries every image of the host")
    return value


def _written(pattern: str, *examples: str) -> WithJsonSchema:
    """How a value looks in the file, for the JSON Schema."""
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": list(examples)})


_DURATION = _written(r"^[0-9]+(\.[0-9]+)? *(ms|s|m|h|d|w)$", "90s", "12h", "14d")

Duration = Annotated[timedelta, BeforeValidator(units.parse_duration), PlainSerializer(units.duration_text), _DURATION]
PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
Count = Annotated[int, Field(ge=0, le=1000), BeforeValidator(_number)]
Size = Annotated[
    int,
    BeforeValidator(units.parse_size),
    AfterValidator(_at_least_one),
    _written(r"^[0-9]+(\.[0-9]+)? *([kMGTP]i?)?B$", "200GB", "10GiB"),
]
Share = Annotated[float, BeforeValidator(units.parse_percent), _written(r"^[0-9]{1,2}(\.[0-9]+)? *%$", "85%")]
Flag = Annotated[bool, BeforeValidator(_flag)]
Glob = Annotated[str, AfterValidator(_glob), Field(min_length=1)]
Exclusion = Annotated[Glob, AfterValidator(_not_all)]
OwnName = Annotated[Glob, AfterValidator(_own_name)]
Addresses = Annotated[str | tuple[str, ...], BeforeValidator(_addresses)]
ContainerGlob = Annotated[Glob, AfterValidator(_not_every_container)]
Window = Annotated[
    schedule.Window,
    BeforeValidator(_window),
    PlainSerializer(schedule.text),
    _written(r"^([A-Za-z, -]+ )?[0-9]{1,2}:[0-9]{2} ?- ?[0-9]{1,2}:[0-9]{2}$", "Mon-Fri 02:00-05:00", "22:00-04:00"),
]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _no_nul(cls, values: object) -> object:
        """A path or an address with a NUL in it would fail only once it is used."""
        for key, value in values.items() if isinstance(values, dict) else ():
            if isinstance(value, str) and "\0" in value:
                raise ValueError(f"{key}: has a NUL character in it; leave it out")
        return values


class Agent(Section):
    host: str = ""  # "": the engine's name, as a slug
    mode: Literal["enforce", "observe"] = "enforce"
    state_dir: Path = Path("/var/lib/torchkeeper")
    log: Literal["console", "json"] = "console"

    @model_validator(mode="after")
    def _state_dir_is_the_same_for_every_command(self) -> "Agent":
        if not self.state_dir.is_absolute():
            path = str(self.state_dir)
            raise ValueError(f"state_dir: {path!r} is not an absolute path; write one like /var/lib/torchkeeper")
        return self

    @model_validator(mode="after")
    def _host_is_a_topic_level(self) -> "Agent":
        if self.host and not valid_host(self.host):
            raise ValueError(f"host: {self.host!r} cannot be part of a topic; try {slug(self.host)!r}")
        return self


class Docker(Section):
    url: str = ""  # "": DOCKER_HOST, then the usual sockets

    @model_validator(mode="after")
    def _url(self) -> "Docker":
        if self.url and not re.match(r"(unix|tcp|http|https|ssh)://.", self.url):
            raise ValueError(f"url: {self.url!r} is not unix://PATH, tcp://HOST:PORT, https:// or ssh://")
        return self


class Mqtt(Section):
    url: Addresses = ""  # "": no broker
    username: str = ""
    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    prefix: str = "torchkeeper"
    version: Literal["auto", "5", "3.1.1"] = "auto"
    collector: str = "main"
    confirm: Literal["broker", "collector"] = "broker"
    keepalive: Annotated[Duration, AfterValidator(_keepalive)] = timedelta(seconds=15)
    inventory_every: Annotated[Duration, AfterValidator(_inventory_every)] = timedelta(seconds=2)
    compress: Flag = False

    @property
    def urls(self) -> tuple[str, ...]:
        """The addresses, as many as there are."""
        return (self.url,) if self.url and isinstance(self.url, str) else tuple(self.url)

    @model_validator(mode="after")
    def _prefix_and_collector(self) -> "Mqtt":
        if not re.fullmatch(r"[^/+#\s\x00]+(/[^/+#\s\x00]+)*", self.prefix):
            raise ValueError(f"prefix: {self.prefix!r} cannot start a topic; leave out +, # and spaces")
        if not valid_host(self.collector):
            raise ValueError(f"collector: {self.collector!r} is no name; try {slug(self.collector)!r}")
        return self

    @model_validator(mode="after")
    def _login(self) -> "Mqtt":
        plain = [url for url in self.urls if url.startswith("mqtt://")]
        if plain and (self.ca_file or self.cert_file or self.key_file):
            raise ValueError(f"url: {plain[0]!r} is not encrypted, yet certificates are set; write mqtts://")
        if self.password_file and not self.username:
            raise ValueError("username: is empty, yet mqtt.password_file is set; set both")
        return self


class Images(Section):
    include: tuple[Glob, ...] = ()
    exclude: tuple[Exclusion, ...] = ()
    ambiguous: Literal["keep", "evict"] = "keep"
    known: tuple[OwnName, ...] = ()
    probe_layers: Flag = True


class Rule(Section):
    match: Glob
    ttl: PositiveDuration | None = None
    keep: StrictBool = False
    keep_newest: Count | None = None
    local_images: Literal["keep", "evict"] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Rule":
        if self.ttl is None and not self.keep and self.keep_newest is None and self.local_images is None:
            raise ValueError("has no effect; give it a ttl, keep = true, keep_newest or local_images")
        if self.keep and self.ttl is not None:
            raise ValueError("has both keep = true and a ttl; a kept image has no TTL, so leave one out")
        if self.keep_newest is not None and "@" in self.match:
            raise ValueError(
                "keep_newest: has no effect on digest references, which have no version; match tags instead"
            )
        return self


class Policy(Section):
    ttl: PositiveDuration = timedelta(days=14)
    min_age: Duration = timedelta(hours=1)
    protect: tuple[Glob, ...] = ("*:latest", "*:stable")
    keep_newest: Count = 0
    local_images: Literal["keep", "evict"] = "keep"
    change_grace: Duration = timedelta(hours=1)
    rules: tuple[Rule, ...] = ()


class Pressure(Section):
    high: Share | None = None
    low: Share | None = None
    budget: Size | None = None

    @model_validator(mode="after")
    def _one_way_or_none(self) -> "Pressure":
        if self.budget is not None and (self.high is not None or self.low is not None):
            raise ValueError("budget: stands beside high or low; give either the budget or both of the others")
        if self.high is not None and self.low is None:
            raise ValueError('low: is missing; say where evicting under pressure ends, like low = "75%"')
        if self.low is not None and self.high is None:
            raise ValueError('high: is missing; say where evicting under pressure begins, like high = "85%"')
        if self.high is not None and self.low is not None and self.low >= self.high:
            raise ValueError(f"low: {self.low:.0%} is not under high, {self.high:.0%}")
        return self


class Schedule(Section):
    windows: tuple[Window, ...] = ()
    timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"


class Cleanup(Section):
    dangling_after: PositiveDuration | None = None
    build_cache_after: PositiveDuration | None = None


class Limits(Section):
    evictions_per_sweep: Annotated[int, Field(gt=0)] | None = None
    bytes_per_hour: Size | None = None
    pause: Duration = timedelta(seconds=2)


class UsageSection(Section):
    ignore_containers: tuple[ContainerGlob, ...] = ()
    gap_tolerance: Duration = timedelta(seconds=60)


class History(Section):
    retention: PositiveDuration = timedelta(days=90)
