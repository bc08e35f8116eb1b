"""The reference of the configuration in Markdown: types and defaults from the settings, texts from the default file."""

import json
import re
from collections.abc import Iterator
from typing import Any

TITLE = """# Configuration

This page is generated from the settings and from [config/torchkeeper.toml](../config/torchkeeper.toml) by `make docs`.

The agent reads the file in `--config`, else the file in `TORCHKEEPER_CONFIG`, else `/etc/torchkeeper/torchkeeper.toml`,
else the defaults below. A file that exists and cannot be read is an error. An environment variable overrides each key:
`TORCHKEEPER_POLICY__TTL=7d`. `torchkeeper config` prints the default file, and `torchkeeper config --effective` the
settings in force, each with its source. `torchkeeper check` shows mistakes.
"""

_SECTION = re.compile(r"^(?:# )?\[([a-z_.]+)\]$")  # one that stands as a comment is off by default
_KEY = re.compile(r"^(?:# )?([a-z_]+) = .+$")
_VALUE = re.compile(r'(?<!`)\[?"[^"]*"(?:, "[^"]*")*\]?(?!`)')
_FORMS = {"s|m|h|d|w": "duration", "i?)?B": "size", "%$": "percentage", "[0-9]{2} ?-": "window"}


def markdown(schema: dict[str, Any], default_file: str) -> str:
    """`schema`: the JSON Schema of the settings. `default_file`: the text of config/torchkeeper.toml.

    Raises ValueError if a key has no text in the default file.
    """
    texts = _texts(default_file, schema)
    return "\n".join([TITLE, *(_section(name, model, texts, schema) for name, model in _sections(schema))])


def _sections(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each section with its keys; `monitor.auth` after `monitor`."""
    for name, entry in schema["properties"].items():
        model = _model(entry, schema)
        yield name, model
        for key, inner in model["properties"].items():
            if "$ref" in inner:
                yield f"{name}.{key}", _model(inner, schema)


def _model(entry: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    model: dict[str, Any] = schema["$defs"][entry["$ref"].rsplit("/", 1)[1]]
    return model


def _section(name: str, model: dict[str, Any], texts: dict[str, str], schema: dict[str, Any]) -> str:
    keys = [(key, entry) for key, entry in model["properties"].items() if "$ref" not in entry]
    parts = [f"## `[{name}]`", texts.get(name, ""), *(_key(name, key, entry, texts, schema) for key, entry in keys)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _key(section: str, key: str, entry: dict[str, Any], texts: dict[str, str], schema: dict[str, Any]) -> str:
    place = f"{section}.{key}"
    if "$ref" in entry.get("items", {}):
        return _list_of_tables(place, _model(entry["items"], schema), texts)
    if place not in texts:
        raise ValueError(f"{place} has no comment in the default file")
    return f"### `{key}`\n\nType: {_type(entry)}. {_default(entry)}\n\n{texts[place]}"


def _list_of_tables(place: str, model: dict[str, Any], texts: dict[str, str]) -> str:
    rows = [f"| `{key}` | {_type(entry)} |" for key, entry in model["properties"].items()]
    return "\n".join([f"### `[[{place}]]`\n\n{texts[place]}\n", "| key | type |", "|---|---|", *rows])


def _default(entry: dict[str, Any]) -> str:
    value = entry.get("default")
    return "Not set by default." if value is None else f"Default: `{json.dumps(value)}`."


def _type(entry: dict[str, Any]) -> str:
    if "enum" in entry:
        return " or ".join(f'`"{value}"`' for value in entry["enum"])
    if "anyOf" in entry:
        return " or ".join(_type(choice) for choice in entry["anyOf"] if choice.get("type") != "null")
    if entry.get("type") == "array":
        return "list of " + _type(entry.get("items", {}))
    return _form(entry) or {"boolean": "`true` or `false`", "integer": "number"}.get(entry.get("type", ""), "text")


def _form(entry: dict[str, Any]) -> str:
    pattern = entry.get("pattern", "")
    names = [name for part, name in _FORMS.items() if part in pattern]
    if not names:
        return ""
    return f"{names[0]}, like " + " or ".join(f'`"{example}"`' for example in entry["examples"])


def _texts(default_file: str, schema: dict[str, Any]) -> dict[str, str]:
    """Place -> the comment above it. Places: `policy`, `policy.ttl`, `policy.rules`. Adjacent keys share a comment."""
    keys = {f"{name}.{key}" for name, model in _sections(schema) for key in model["properties"]}
    texts: dict[str, str] = {}
    section, comment, used, example = "", list[str](), False, False
    for line in default_file.splitlines():
        place = _place(line, section)
        if header := _SECTION.match(line):
            section = header[1]
            texts[section], comment = _paragraph(comment), []
        elif line.startswith("# [["):  # the commented keys below it are an example of a table in a list
            texts.setdefault(place, _paragraph(comment))
            example = True
        elif place in keys and not example:
            texts[place], used = _paragraph(comment), True
        elif line.startswith("#"):
            comment, used = [*([] if used else comment), line[1:].strip()], False
        else:
            comment, used, example = [], False, False
    return texts


def _place(line: str, section: str) -> str:
    """The key that a line sets, or shows as a comment; of `# [[policy.rules]]` that list."""
    if line.startswith("# [["):
        return line[4:-2]
    key = _KEY.match(line)
    return f"{section}.{key[1]}" if key else ""


def _paragraph(comment: list[str]) -> str:
    """The comment as one paragraph, its values as code: `*` would otherwise be emphasis."""
    text = " ".join(line for line in comment if line)
    return _VALUE.sub(lambda value: f"`{value[0]}`", text)
