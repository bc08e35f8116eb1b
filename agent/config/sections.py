"""The sections of the configuration: each key with its type, its default and its checks."""

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

from agent.config import monitor_values
from agent.core import globs, units
from agent.core.policy import rules, schedule
from agent.core.protocol.topics import slug, valid_host
from agent.core.pytorch import operators
from agent.core.usage import attribution

NO_SSH = (
    "ssh:// is not supported; run torchkeeper on that host, or forward its socket with "
    "`ssh -N -L /run/gpu-07.sock:/var/run/docker.sock gpu-07` and use unix:///run/gpu-07.sock"
)


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta():
        raise ValueError("must be longer than 0: an image would be evicted the moment it is idle")
    return value


def _at_least_one(value: int) -> int:
    if value <= 0:
        raise ValueError("must be more than 0 bytes")
    return value


def _list(value: object) -> object:
    """Refuse a text: pydantic's own message would ask for a tuple, which TOML does not have."""
    if isinstance(value, str):
        raise ValueError(f"{value[:100]!r} is not a list; write it in brackets, like ['teamai/*']")
    return value


def _glob(value: str) -> str:
    if not value.strip():
        raise ValueError("is an empty pattern; write a glob like 'teamai/*'")
    return value


def _number(value: object) -> object:
    """Refuse booleans, which pydantic would read as 0 and 1."""
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is not a number; write how many, like 2")
    return value


def _flag(value: object) -> object:
    """Accept "true" and "false", too: an environment variable is always text."""
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
    """Whether a pattern matches every image.

    The sample tags share nothing but the colon, so a pattern that matches them all matches every tag. The sample digest
    references share nothing but the digest's form.
    """
    tags = ("a:b", "registry.io:5000/team/name:1-x", "0/y:Z")
    digests = [f"{globs.repository(tag)}@sha256:{digit * 64}" for tag, digit in zip(tags, "0af", strict=True)]
    return any(all(globs.matches(value, name) for name in names) for names in (tags, digests))


def _not_every_image(value: str) -> str:
    if _matches_all(value):
        raise ValueError(
            f"{value!r} matches every image, so none would ever be evicted; to only observe, set agent.mode"
        )
    return value


def _own_name(value: str) -> str:
    patterns = operators.in_full(value)
    if any(map(_matches_all, patterns)):
        raise ValueError(f"{value!r} matches every image, so every image would count as PyTorch; list only your own")
    if why := rules.why_never_matches(patterns[-1]):
        raise ValueError(f"{value!r} can match no image: {why}")
    return value


def _not_every_container(value: str) -> str:
    """Refuse a pattern that matches all sample names, all sample images or all sample labels: it matches everything."""
    every_name = [attribution.Run(name=name) for name in ("a", "Train_1", "0.x-y")]
    every_image = [attribution.Run(image=image) for image in ("a", "registry.io:5000/team/name:1-x", "0/y:Z")]
    every_label = [attribution.Run(labels={key: value}) for key, value in (("a", "b"), ("com.x/y", "Z 1"), ("0", ""))]
    if any(
        all(map(attribution.IgnoredContainers((value,)).pattern_for, runs))
        for runs in (every_name, every_image, every_label)
    ):
        raise ValueError(f"{value!r} matches every container, so no run would count as a use")
    return value


def _addresses(value: object) -> object:
    """Check a broker's address, or each address of a list. "" means: no broker."""
    if isinstance(value, list | tuple):
        for number, entry in enumerate(value, 1):
            _check_address(entry, f"entry {number} of the list: ")
        return tuple(value)
    if value != "":
        _check_address(value, "")
    return value


def _check_address(value: object, place: str) -> None:
    """Raise ValueError unless the value is a broker's address. `place` begins the message."""
    if "@" in str(value):  # the message does not repeat the value: it may contain a password
        raise ValueError(
            f"{place}the address contains a user or a password; set mqtt.username and mqtt.password_file instead"
        )
    address = r"://([^/:@\s]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?"
    parts = re.fullmatch(rf"(?:mqtts?{address}/?)|(?:wss?{address}(?:/[^?#\s]*)?)", str(value))
    if parts is None:
        raise ValueError(f"{place}{value!r} is not mqtt://host[:port], mqtts://host[:port] or wss://host[:port]/path")
    if int(parts[2] or parts[4] or 1) not in range(1, 65536):
        raise ValueError(f"{place}{value!r} has a port that is not between 1 and 65535")


def _keepalive(value: timedelta) -> timedelta:
    if value.microseconds or not timedelta(seconds=5) <= value <= timedelta(seconds=65535):
        raise ValueError("must be whole seconds between 5s and 65535s, the largest value that MQTT allows")
    return value


def _inventory_every(value: timedelta) -> timedelta:
    if value < timedelta(seconds=2):
        raise ValueError("must be at least 2s: an inventory contains every image of the host")
    return value


def _written(pattern: str, *examples: str) -> WithJsonSchema:
    """The JSON Schema of a value as it is written in the file."""
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
Exclusion = Annotated[Glob, AfterValidator(_not_every_image)]
OwnName = Annotated[Glob, AfterValidator(_own_name)]
Globs = Annotated[tuple[Glob, ...], BeforeValidator(_list)]
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
        """Refuse a NUL character here: in a path or an address it would cause an error only at the first use."""
        for key, value in values.items() if isinstance(values, dict) else ():
            if isinstance(value, str) and "\0" in value:
                raise ValueError(f"{key}: contains a NUL character; remove it")
        return values


class Agent(Section):
    host: str = ""  # "": the engine's name, as a slug
    mode: Literal["enforce", "observe"] = "enforce"
    state_dir: Path = Path("/var/lib/torchkeeper")
    log: Literal["console", "json"] = "console"

    @model_validator(mode="after")
    def _state_dir_is_absolute(self) -> "Agent":
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
        if self.url.startswith("ssh://"):
            raise ValueError(f"url: {NO_SSH}")
        if self.url and not re.match(r"(unix|tcp|http|https)://.", self.url):
            raise ValueError(f"url: {self.url!r} is not unix:///PATH, tcp://HOST:PORT or https://HOST:PORT")
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
        """All addresses; () if there is no broker."""
        return (self.url,) if self.url and isinstance(self.url, str) else tuple(self.url)

    @model_validator(mode="after")
    def _prefix_and_collector(self) -> "Mqtt":
        if not re.fullmatch(r"[^/+#\s\x00]+(/[^/+#\s\x00]+)*", self.prefix):
            raise ValueError(f"prefix: {self.prefix!r} cannot begin a topic; remove +, # and spaces")
        if not valid_host(self.collector):
            raise ValueError(f"collector: {self.collector!r} cannot be part of a topic; try {slug(self.collector)!r}")
        return self

    @model_validator(mode="after")
    def _login(self) -> "Mqtt":
        plain = [url for url in self.urls if url.startswith(("mqtt://", "ws://"))]
        if plain and (self.ca_file or self.cert_file or self.key_file):
            encrypted = "wss" if plain[0].startswith("ws") else "mqtts"
            raise ValueError(f"url: {plain[0]!r} is not encrypted, but certificates are set; use {encrypted}://")
        if self.key_file and not self.cert_file:
            raise ValueError("cert_file: is empty, but mqtt.key_file is set; set both")
        if self.password_file and not self.username:
            raise ValueError("username: is empty, but mqtt.password_file is set; set both")
        return self


class Images(Section):
    include: Globs = ()
    exclude: Annotated[tuple[Exclusion, ...], BeforeValidator(_list)] = ()
    ambiguous: Literal["keep", "evict"] = "keep"
    known: Annotated[tuple[OwnName, ...], BeforeValidator(_list)] = ()
    probe_layers: Flag = True


class Rule(Section):
    match: Glob
    ttl: PositiveDuration | None = None
    keep: StrictBool = False
    keep_newest: Count | None = None
    local_images: Literal["keep", "evict"] | None = None

    @model_validator(mode="after")
    def _has_an_effect(self) -> "Rule":
        if self.ttl is None and not self.keep and self.keep_newest is None and self.local_images is None:
            raise ValueError("has no effect; give it a ttl, keep = true, keep_newest or local_images")
        if self.keep and self.ttl is not None:
            raise ValueError("has both keep = true and a ttl; a kept image has no TTL, so remove one of them")
        if self.keep_newest is not None and "@" in self.match:
            raise ValueError(
                "keep_newest: has no effect on digest references, which have no version; match tags instead"
            )
        return self


class Policy(Section):
    ttl: PositiveDuration = timedelta(days=14)
    min_age: Duration = timedelta(hours=1)
    protect: Globs = ("*:latest", "*:stable")
    keep_newest: Count = 0
    local_images: Literal["keep", "evict"] = "keep"
    change_grace: Duration = timedelta(hours=1)
    rules: tuple[Rule, ...] = ()


class Pressure(Section):
    high: Share | None = None
    low: Share | None = None
    budget: Size | None = None

    @model_validator(mode="after")
    def _high_low_or_budget(self) -> "Pressure":
        if self.budget is not None and (self.high is not None or self.low is not None):
            raise ValueError("budget: cannot be combined with high or low; set either budget, or high and low")
        if self.high is not None and self.low is None:
            raise ValueError('low: is missing; set the usage at which evicting under pressure ends, like low = "75%"')
        if self.low is not None and self.high is None:
            raise ValueError(
                'high: is missing; set the usage at which evicting under pressure begins, like high = "85%"'
            )
        if self.high is not None and self.low is not None and self.low >= self.high:
            raise ValueError(f"low: {self.low:.0%} is not below high, {self.high:.0%}")
        return self


class Schedule(Section):
    windows: Annotated[tuple[Window, ...], BeforeValidator(_list)] = ()
    timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"


class Cleanup(Section):
    dangling_after: PositiveDuration | None = None
    build_cache_after: PositiveDuration | None = None


class Limits(Section):
    evictions_per_sweep: Annotated[int, Field(gt=0)] | None = None
    bytes_per_hour: Size | None = None
    pause: Duration = timedelta(seconds=2)


class UsageSection(Section):
    ignore_containers: Annotated[tuple[ContainerGlob, ...], BeforeValidator(_list)] = ()
    gap_tolerance: Duration = timedelta(seconds=60)


class History(Section):
    retention: PositiveDuration = timedelta(days=90)


class Http(Section):
    """Health and metrics of the agent. Without this section in the configuration it is `NO_HTTP`."""

    listen: monitor_values.OptionalListen = "127.0.0.1:9477"  # "": nothing is served

    @property
    def address(self) -> tuple[str, int] | None:
        """The host and the port of `listen`; None if nothing is served."""
        return monitor_values.split(self.listen) if self.listen else None


NO_HTTP = Http(listen="")


class MonitorAuth(Section):
    """Who may read the monitor. `open`: everybody who reaches it, so it listens on loopback only."""

    mode: Literal["open", "token", "proxy"] = "open"
    allow_open: Flag = False
    viewer_token_file: str = ""
    operator_token_file: str = ""
    user_header: monitor_values.HeaderName = "Remote-User"
    groups_header: monitor_values.HeaderName = "Remote-Groups"
    operators: Annotated[tuple[str, ...], BeforeValidator(_list)] = ()
    trusted_proxies: Annotated[tuple[str, ...], BeforeValidator(_list), AfterValidator(monitor_values.networks)] = (
        "127.0.0.1",
        "::1",
    )


class Monitor(Section):
    listen: monitor_values.Listen = "127.0.0.1:9478"
    database: str = "sqlite:////var/lib/torchkeeper/fleet.db"
    id: str = ""  # "": mqtt.collector
    public_url: monitor_values.PublicUrl = ""
    actions: Annotated[Flag, AfterValidator(monitor_values.no_actions)] = False
    retention: PositiveDuration = timedelta(days=400)
    auth: MonitorAuth = MonitorAuth()

    @property
    def address(self) -> tuple[str, int]:
        """The host and the port of `listen`."""
        return monitor_values.split(self.listen)
