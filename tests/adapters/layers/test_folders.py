"""Whether the layers of an engine can be read, and the reason if they cannot."""

import os
from pathlib import Path

import pytest

from agent.adapters.engine import EngineInfo
from agent.adapters.layers import folders as layer_folders


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
    assert why.endswith(f"Permission denied for uid {os.geteuid()}; it needs root or CAP_DAC_READ_SEARCH")


def test_the_containerd_store_points_to_the_other_way(tmp_path: Path) -> None:
    assert "explain --look-inside" in layer_folders.why_not(info(tmp_path, "overlayfs", containerd=True))


@pytest.mark.parametrize(("root", "driver"), [("/data", "vfs"), ("/data", ""), ("", "overlay2")])
def test_another_storage_driver_is_named(root: str, driver: str) -> None:
    assert "is not" in layer_folders.why_not(info(root, driver)) or "does not" in layer_folders.why_not(
        info(root, driver)
    )
