"""What is said about a mistake in the configuration: the key as people write it, what is wrong, and the way out."""

import difflib
import json
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from agent.config.sections import Rule
from agent.config.settings import PREFIX, Settings
from agent.core.text import quoted

Location = tuple[str | int, ...]

_INSTEAD = {  # keys that people look for -> how the same is done
    "mqtt.password": "put the password into a file, and set mqtt.password_file to its path",
    "mqtt.host": 'set mqtt.url, like url = "mqtts://broker.example"',
    "mqtt.port": 'it is part of mqtt.url, like url = "mqtts://broker.example:8883"',
    "mqtt.tls": "write mqtts:// instead of mqtt:// in mqtt.url",
}
_MUST = {  # pydantic's type of an error -> what the value must be
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "missing": "is missing",
    "model_type": "must be a table of keys",
    "path_type": "must be a path in quotes",
    "string_type": "must be a text in quotes",
}


def describe(error: ValidationError, data: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    """All mistakes in one line. `data`: the file. `environ`: it may override the rules of the file."""
    overridden = any(name.upper().startswith(f"{PREFIX}POLICY__RULES") for name in environ)
    return "; ".join(_describe(item, {} if overridden else data) for item in error.errors(include_url=False))


def _describe(item: ErrorDetails, data: Mapping[str, Any]) -> str:
    location: Location = item["loc"]
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "value_error" and (key := message.split(":")[0]) in _fields_at(location):
        location, message = (*location, key), message.removeprefix(f"{key}: ")
    return f"{_place(location, data)}: {_fault(item, location, message)}"


def _fault(item: ErrorDetails, location: Location, message: str) -> str:
    if item["type"] == "extra_forbidden":
        return f"is an unknown key; {_unknown_key(location)}"
    if _is_list(location) and not isinstance(item["input"], list | tuple):
        return _as_list(str(location[-1]), item["input"])
    if item["type"] == "value_error":
        return message
    must = _MUST.get(item["type"])
    said = must.format(**item.get("ctx", {})) if must else message
    return said if item["type"] == "missing" else f"{said} (it is {quoted(item['input'])})"


# Where it is


def _place(location: Location, data: Mapping[str, Any]) -> str:
    """The key: `policy.ttl`, `images.exclude: the 2nd entry`, `policy.rules: the 1st rule (match = "x"): ttl`."""
    place = ""
    for number, part in enumerate(location):
        if isinstance(part, int):
            place += f": the {_ordinal(part + 1)} {_entry(location[:number], part, data)}"
        else:
            after_number = number > 0 and isinstance(location[number - 1], int)
            place += (": " if after_number else "." if place else "") + part
    return place


def _entry(parents: Location, number: int, data: Mapping[str, Any]) -> str:
    if parents != ("policy", "rules"):
        return "entry"
    try:
        return f'rule (match = "{quoted(data["policy"]["rules"][number]["match"])[1:-1]}")'
    except (KeyError, IndexError, TypeError):  # the rule has no match, which may be the mistake
        return "rule"


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


# What is meant


def _unknown_key(location: Location) -> str:
    *parents, key = (str(part) for part in location)
    if not parents:
        return unknown_section(key)
    near = _nearest(key, _fields_at(location[:-1]))
    if instead := _INSTEAD.get(f"{parents[0]}.{key}"):
        return instead
    if near:
        return f"did you mean {near}?"
    if owners := _sections_with(key):
        return f"it belongs to {' or '.join(owners)}"
    return "known here: " + ", ".join(_fields_at(location[:-1]))


def unknown_section(name: str) -> str:
    """The section that a person may mean, or all of them."""
    near = _nearest(name, Settings.model_fields)
    return f"did you mean [{near}]?" if near else sections()


def outside_section(key: str) -> str:
    """Where a value belongs that stands above all sections."""
    owners = _sections_with(key)
    return f"write it below {' or '.join(owners)}" if owners else sections()


def unknown_variable(name: str) -> str:
    """What an environment variable may be meant to be, or all sections."""
    section, separator, key = name.upper().removeprefix(PREFIX).partition("__")
    near = _nearest(section.lower(), Settings.model_fields)
    return f"did you mean {PREFIX}{near.upper()}{separator}{key}?" if near else sections()


def sections() -> str:
    return "the sections are " + ", ".join(f"[{name}]" for name in Settings.model_fields)


def _nearest(word: str, known: typing.Iterable[str]) -> str:
    return next(iter(difflib.get_close_matches(word.lower(), list(known), n=1)), "")


def _sections_with(key: str) -> list[str]:
    return [f"[{name}]" for name in Settings.model_fields if key in _fields_at((name,))]


def _as_list(key: str, value: object) -> str:
    if key == "rules":
        return "is a list of tables; write each rule below [[policy.rules]], in two brackets"
    example = json.dumps(value[:100], ensure_ascii=False) if isinstance(value, str) else "..."
    return f"must be a list: {key} = [{example}]"


# The sections


def _is_list(location: Location) -> bool:
    field = _model_at(location[:-1]).get(str(location[-1])) if location else None
    return field is not None and typing.get_origin(field.annotation) is tuple


def _fields_at(location: Location) -> list[str]:
    return list(_model_at(location))


def _model_at(location: Location) -> Mapping[str, Any]:
    """The fields of the section or rule at a location; empty if it is a value."""
    current: Any = Settings
    for part in location:
        fields = getattr(current, "model_fields", {})
        known = fields.get(str(part))
        current = Rule if isinstance(part, int) else known and known.annotation
    return getattr(current, "model_fields", {})
