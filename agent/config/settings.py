"""Everything that an operator can set, frozen, with the schema of the file that sets it."""

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
    Mqtt,
    Policy,
    Pressure,
    Rule,
    UsageSection,
)
from agent.core import model
from agent.core.policy.schedule import Schedule

PREFIX = "TORCHKEEPER_"


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

    def core_policy(self) -> model.Policy:
        """The settings that decide, as the pure core takes them."""
        return model.Policy(
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
            pressure=model.Pressure(high=self.pressure.high, low=self.pressure.low, budget=self.pressure.budget),
            schedule=Schedule(windows=self.schedule.windows, timezone=self.schedule.timezone),
            observe=self.agent.mode == "observe",
            limits=model.Limits(
                evictions_per_sweep=self.limits.evictions_per_sweep, bytes_per_hour=self.limits.bytes_per_hour
            ),
        )


def _core_rule(rule: Rule) -> model.Rule:
    evict_local = None if rule.local_images is None else rule.local_images == "evict"
    return model.Rule(
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
