"""`torchkeeper config`: the default configuration, and the settings in force."""

import os
from typing import Annotated

import typer

from agent.cli.common import ConfigOption, JsonOption, UsageError, print_json, print_notes
from agent.config import loading
from agent.core import text


def config(
    config_file: ConfigOption = None,
    effective: Annotated[
        bool, typer.Option("--effective", help="Print the settings in force, each with its source.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """The default configuration, with a comment for each key; a file to begin with."""
    from agent.config import templates

    if effective:
        _effective(config_file, as_json=as_json)
    elif as_json:
        raise UsageError("--json needs --effective; the default configuration is TOML")
    else:
        print(templates.default_configuration(), end="")


def _effective(config_file: ConfigOption, *, as_json: bool) -> None:
    from agent.config import effective

    settings = loading.load(config_file)
    file = loading.find_file(config_file, os.environ)
    found = effective.find(settings, file, loading.read(file) if file else {}, os.environ)
    if as_json:
        keys = {
            ".".join(one.path): {"value": one.value, "source": one.source, "from": one.place or None} for one in found
        }
        print_json({"file": str(file) if file else None, "settings": keys})
        return
    print(f"# configuration file: {file or 'none'}")
    for line in effective.as_toml(found):
        print(text.one_line(line))
    if not settings.docker.url and os.environ.get("DOCKER_HOST"):
        print_notes([f"docker.url is not set, so DOCKER_HOST is used: {os.environ['DOCKER_HOST']}"])
