"""The files of `config/`, which are part of the package."""

from importlib import resources
from pathlib import Path

import agent

FOLDER = "templates"  # in the package; in the source tree the files are in `config/`, beside the package


def default_configuration() -> str:
    """The default configuration, with a comment for each key."""
    packaged = resources.files("agent") / FOLDER / "torchkeeper.toml"
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (Path(agent.__file__).parents[1] / "config" / "torchkeeper.toml").read_text(encoding="utf-8")
