"""The settings as frozen objects, and the JSON Schema of the configuration file."""

from typing import Any

from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from agent.config import sections
from agent.config.sections import (
    Agent,
    Cleanup,
    Docker,
    History,
    Images,
    Limits,
    Monitor,
    Mqtt,
    Policy,
    Pressure,
    Rule,
    UsageSection,
)
from agent.core.policy import settings as policy_settings
from agent.core.policy.schedule import Schedule

PREFIX = "TORCHKEEPER_"


class ConfigError(Exception):
    """The configuration cannot be used. The message names the key and the way out."""


class Settings(BaseSettings):
    """Everything that an operator can set. One frozen instance is used by the whole process."""

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
    http: sections.Http = sections.NO_HTTP
    monitor: Monitor = Monitor()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings  # the environment overrides the file

    def core_policy(self) -> policy_settings.Policy:
        """The settings that affect decisions, as the policy of the pure core."""
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
    """The JSON Schema of the configuration file, for editors. It is generated from the sections."""
    document = Settings.model_json_schema(mode="validation")
    defaults = Settings.model_construct().model_dump(mode="json")
    defaults["http"] = sections.Http().model_dump(mode="json")  # of the keys of a section that is there
    for section, keys in defaults.items():
        document["properties"][section].pop("default")
        name = document["properties"][section]["$ref"].rpartition("/")[2]
        for key, default in keys.items():  # in the form of the file, like "14d", not as Python objects
            document["$defs"][name]["properties"][key]["default"] = default
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "torchkeeper's configuration"}
    return {**head, **{key: value for key, value in document.items() if key not in ("title", "description")}}
