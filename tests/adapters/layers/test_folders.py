"""Where an engine says that layers are, and what is said where they cannot be read."""

import os
from pathlib import Path
from typing import Any

import pytest

from agent.adapters.engine import EngineInfo
from agent.adapters.layers import folders as layer_folders

ROOT = "/var/lib/docker"


def folder(name: str) -> str:
    return f"{ROOT}/overlay2/{name}/diff"


def inspected(upper: object, *lower: str, layers: int = 0) -> dict[str, Any]:
    """An inspect of an image with a layer for each folder, unless it says another number."""
    data = {"UpperDir": upper, **({"LowerDir": ":".join(lower)} if lower else {})}
    return {"GraphDriver": {"Data": data}, "RootFS": {"Layers": ["x"] * (layers or 1 + len(lower))}}


def info(root: Path | str, driver: str = "overlay2", *, containerd: bool = False) -> EngineInfo:
    return EngineInfo(
        id="e",
        name="gpu-07",
        version="28.5",
        api_version="1.51",
        driver=driver,
        root=str(root),
        containerd_store=containerd,
    )


def test_the_folders_are_reported_topmost_first() -> None:
    told = inspected(folder("c"), folder("b"), folder("a"))
    assert layer_folders.named(told, ROOT) == (folder("c"), folder("b"), folder("a"))
    assert layer_folders.named(inspected(folder("a")), f"{ROOT}/") == (folder("a"),)


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
def test_unless_each_layer_has_a_folder_below_the_engines_own_there_are_none(told: dict[str, Any]) -> None:
    assert layer_folders.named(told, ROOT) == ()


def test_folders_that_are_there_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "overlay2").mkdir()
    assert layer_folders.why_not(info(tmp_path)) == ""


def test_folders_that_are_not_mounted_are_asked_for(tmp_path: Path) -> None:
    assert f"mount {tmp_path} at the same path" in layer_folders.why_not(info(tmp_path))


def test_folders_without_permission_name_what_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    why = layer_folders.why_not(info(tmp_path))
    assert why.endswith(f"Permission denied for uid {os.geteuid()}; it takes root, or CAP_DAC_READ_SEARCH")


def test_the_containerd_store_points_to_the_other_way(tmp_path: Path) -> None:
    assert "explain --look-inside" in layer_folders.why_not(info(tmp_path, "overlayfs", containerd=True))


@pytest.mark.parametrize(("root", "driver"), [("/data", "vfs"), ("/data", ""), ("", "overlay2")])
def test_another_storage_driver_is_named(root: str, driver: str) -> None:
    assert "is not" in layer_folders.why_not(info(root, driver)) or "does not" in layer_folders.why_not(
        info(root, driver)
    )
