"""Where an inspect says that the layers of an image are."""

from typing import Any

import pytest

from agent.adapters.docker import layer_folders

ROOT = "/var/lib/docker"


def folder(name: str) -> str:
    return f"{ROOT}/overlay2/{name}/diff"


def inspected(upper: object, *lower: str, layers: int = 0) -> dict[str, Any]:
    """An inspect of an image with a layer for each folder, unless it says another number."""
    data = {"UpperDir": upper, **({"LowerDir": ":".join(lower)} if lower else {})}
    return {"GraphDriver": {"Data": data}, "RootFS": {"Layers": ["x"] * (layers or 1 + len(lower))}}


def test_the_folders_are_told_topmost_first() -> None:
    told = inspected(folder("c"), folder("b"), folder("a"))
    assert layer_folders.parse(told, ROOT) == (folder("c"), folder("b"), folder("a"))
    assert layer_folders.parse(inspected(folder("a")), f"{ROOT}/") == (folder("a"),)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"GraphDriver": None, "RootFS": {"Layers": ["x"]}},
        {"GraphDriver": {"Data": {"RootDir": folder("a")}}, "RootFS": {"Layers": ["x"]}},
        inspected(None),
        inspected(7),
        inspected(folder("b"), folder("a"), layers=3),
        inspected("/etc"),
        inspected(folder("b"), "/etc"),
        inspected(f"{ROOT}/../../../etc"),
        inspected("/var/lib/docker-other/a"),
    ],
)
def test_unless_there_is_a_folder_for_each_layer_below_the_engines_own_there_are_none(told: dict[str, Any]) -> None:
    assert layer_folders.parse(told, ROOT) == ()
