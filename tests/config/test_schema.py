"""The JSON Schema of the configuration is generated from the settings, and accepts and refuses the same files."""

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from agent.config import loading
from agent.config.settings import ConfigError, Settings, schema

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "config/torchkeeper.schema.json").read_text())


def test_the_schema_in_config_is_the_one_of_the_settings() -> None:
    assert schema() == SCHEMA, "run `make schema`"


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_default_configuration_is_valid_by_it() -> None:
    jsonschema.validate(tomllib.loads((ROOT / "config/torchkeeper.toml").read_text()), SCHEMA)


def test_the_default_configuration_points_editors_to_it() -> None:
    first = (ROOT / "config/torchkeeper.toml").read_text().splitlines()[0]
    assert first == "#:schema ./torchkeeper.schema.json"


def test_its_defaults_are_those_of_the_default_configuration() -> None:
    written = tomllib.loads((ROOT / "config/torchkeeper.toml").read_text())
    for section, keys in written.items():
        known = SCHEMA["$defs"][SCHEMA["properties"][section]["$ref"].rpartition("/")[2]]["properties"]
        values = loading.load(ROOT / "config/torchkeeper.toml").model_dump(mode="json")[section]
        assert {key: known[key]["default"] for key in keys} == {key: values[key] for key in keys}


GOOD: list[dict[str, Any]] = [
    {"policy": {"ttl": "1.5 h", "keep_newest": 2, "rules": [{"match": "a/*", "keep": True}]}},
    {"pressure": {"high": "85%", "low": "75.5 %"}},
    {"pressure": {"budget": "200 GiB"}},
    {"schedule": {"windows": ["Mon-Fri 02:00-05:00", "22:00-04:00"], "timezone": "Europe/Berlin"}},
    {"cleanup": {"dangling_after": "2d", "build_cache_after": "7d"}},
    {"usage": {"ignore_containers": ["trivy*"]}},
]
BAD: list[dict[str, Any]] = [
    {"polcy": {}},
    {"policy": {"tll": "7d"}},
    {"policy": {"ttl": 14}},
    {"policy": {"ttl": "14 days"}},
    {"policy": {"keep_newest": -1}},
    {"policy": {"rules": [{"ttl": "7d"}]}},
    {"pressure": {"high": "85"}},
    {"pressure": {"budget": "200"}},
    {"schedule": {"windows": ["at night"]}},
    {"images": {"ambiguous": "maybe"}},
]


def load(document: dict[str, Any], folder: Path) -> Settings:
    path = folder / "c.toml"
    tables = (f"[{section}]\n" + "\n".join(_line(*item) for item in keys.items()) for section, keys in document.items())
    path.write_text("\n".join(tables))
    return loading.load(path)


def _line(key: str, value: object) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return f"{key} = [{', '.join('{' + ', '.join(_line(*part) for part in item.items()) + '}' for item in value)}]"
    return f"{key} = {json.dumps(value)}"


@pytest.mark.parametrize("document", GOOD, ids=str)
def test_a_file_that_the_schema_accepts_can_be_loaded(document: dict[str, Any], tmp_path: Path) -> None:
    jsonschema.validate(document, SCHEMA)
    load(document, tmp_path)


@pytest.mark.parametrize("document", BAD, ids=str)
def test_a_file_that_the_schema_refuses_cannot_be_loaded(document: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)
    with pytest.raises(ConfigError):
        load(document, tmp_path)
