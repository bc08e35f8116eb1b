"""Layers of images as plain folders: what is found, what is hidden, and what a hostile layer cannot do."""

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.adapters.layers import files as layer_files
from agent.adapters.layers import stack as layer_stack
from agent.adapters.layers import walk as layer_walk
from agent.adapters.layers.stack import Reader
from agent.core.pytorch import layer_probe, version_file
from agent.core.pytorch.layer_probe import LayerProbe, ProbeResult
from tests.support import torch_file

SITE = "opt/conda/lib/python3.11/site-packages"
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices and sees what an overlay marks")


@pytest.fixture
def layers(tmp_path: Path) -> list[Path]:
    """Three empty layers, the topmost first."""
    made = [tmp_path / name for name in ("top", "middle", "base")]
    for folder in made:
        folder.mkdir()
    return made


def put(layer: Path, version: str = "2.4.0+git0", place: str = SITE, text: str = "") -> Path:
    """Install a torch in a layer; its version file."""
    path = layer / place / "torch" / "version.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text or torch_file.text(version))
    return path


def look(layers: list[Path]) -> LayerProbe:
    return Reader().probe([str(layer) for layer in layers])


def found(version: str | None, layer: int, place: str = SITE) -> LayerProbe:
    return LayerProbe(result=ProbeResult.TORCH, path=f"/{place}/torch/version.py", layer=layer, torch_version=version)


def whiteout(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(0, 0))


# Which torch counts


def test_layers_without_a_torch_have_none(layers: list[Path]) -> None:
    (layers[1] / SITE / "numpy").mkdir(parents=True)
    assert look(layers) == layer_probe.NOTHING


def test_the_layer_is_counted_from_the_base(layers: list[Path]) -> None:
    put(layers[1])
    assert look(layers) == found("2.4.0", 2)


@AS_ROOT
def test_of_an_upgraded_torch_the_upper_one_counts(layers: list[Path]) -> None:
    put(layers[2], "2.4.0+git0")
    put(layers[0], "2.5.1+git0")
    assert look(layers) == found("2.5.1", 3)


@AS_ROOT
@pytest.mark.parametrize("removed", [f"{SITE}/torch/version.py", f"{SITE}/torch", "opt/conda", "opt"])
def test_a_torch_that_a_layer_above_removed_is_not_there(layers: list[Path], removed: str) -> None:
    put(layers[2])
    whiteout(layers[1] / removed)
    assert look(layers) == layer_probe.NOTHING


@AS_ROOT
@pytest.mark.parametrize("name", ["trusted.overlay.opaque", "user.overlay.opaque"])
@pytest.mark.parametrize("opaque", [f"{SITE}/torch", "opt/conda", "opt"])
def test_a_torch_below_an_opaque_folder_is_not_there(layers: list[Path], opaque: str, name: str) -> None:
    put(layers[2])
    (layers[1] / opaque).mkdir(parents=True)
    os.setxattr(layers[1] / opaque, name, b"y")
    assert look(layers) == layer_probe.NOTHING


@AS_ROOT
def test_a_torch_in_an_opaque_folder_itself_is_there(layers: list[Path]) -> None:
    put(layers[2], "2.4.0+git0")
    put(layers[1], "2.5.1+git0")
    os.setxattr(layers[1] / "opt/conda", "trusted.overlay.opaque", b"y")
    assert look(layers) == found("2.5.1", 2)


@AS_ROOT
@pytest.mark.parametrize("mark", [f"{SITE}/.wh.torch", "opt/conda/.wh..wh..opq", ".wh.opt"])
def test_the_marks_of_other_drivers_count_as_well(layers: list[Path], mark: str) -> None:
    put(layers[2])
    (layers[0] / mark).parent.mkdir(parents=True, exist_ok=True)
    (layers[0] / mark).touch()
    assert look(layers) == layer_probe.NOTHING


@AS_ROOT
def test_a_link_in_the_place_of_a_folder_hides_what_the_folder_had(layers: list[Path]) -> None:
    put(layers[2])
    (layers[0] / "opt").symlink_to("usr")
    assert look(layers) == layer_probe.NOTHING


def test_where_an_overlays_marks_cannot_be_seen_a_lower_torch_is_unknown(
    layers: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layer_files, "sees_trusted", lambda: False)
    put(layers[2])
    assert look(layers) == found("2.4.0", 1)  # no layer above has any of its folders
    (layers[0] / "opt").mkdir()
    assert look(layers).result is ProbeResult.UNKNOWN


@AS_ROOT
def test_a_folder_that_was_renamed_without_a_copy_may_hold_a_torch(layers: list[Path]) -> None:
    (layers[0] / "venv").mkdir()
    os.setxattr(layers[0] / "venv", "trusted.overlay.redirect", b"/opt/old")
    assert look(layers) == layer_probe.unknown("layer 3: /venv: was renamed without a copy of its content")


# What counts as a torch


@pytest.mark.parametrize(
    "place", ["usr/lib/python3/dist-packages", "venv/lib/python3.12/site-packages", "opt/pytorch/pytorch", "srv/target"]
)
def test_a_torch_counts_wherever_it_was_installed(layers: list[Path], place: str) -> None:
    put(layers[1], place=place)
    assert look(layers) == found("2.4.0", 2, place)


@pytest.mark.parametrize(
    "place", ["root/.cache/uv/archive-v0/abc", "opt/conda/pkgs/pytorch-2.4/lib/python3.11/site-packages"]
)
def test_what_an_installer_keeps_to_install_from_is_no_torch(layers: list[Path], place: str) -> None:
    put(layers[1], place=place)
    (layers[1] / "opt/conda/conda-meta").mkdir(parents=True)
    assert look(layers) == layer_probe.NOTHING


@pytest.mark.parametrize("place", [f"{SITE}/horovod", "opt/app"])
def test_a_folder_called_torch_of_another_project_is_no_torch(layers: list[Path], place: str) -> None:
    put(layers[1], place=place, text="__version__ = '1.2.3'\n")
    assert look(layers) == layer_probe.NOTHING


def test_a_program_called_torch_is_no_torch(layers: list[Path]) -> None:
    (layers[0] / "usr/bin").mkdir(parents=True)
    (layers[0] / "usr/bin/torch").write_text("#!/bin/sh\n")
    assert look(layers) == layer_probe.NOTHING


def test_of_two_torches_that_differ_the_one_among_packages_counts_and_no_version_is_told(layers: list[Path]) -> None:
    put(layers[1], "2.4.0+git0", "a")
    put(layers[1], "2.5.1+git0")
    assert look(layers) == found(None, 2)


# Hostile layers


@pytest.mark.parametrize("target", ["/etc", "..", "torch", "nowhere"])
def test_a_link_called_torch_is_not_followed_and_leaves_the_image_unknown(layers: list[Path], target: str) -> None:
    (layers[0] / SITE).mkdir(parents=True)
    (layers[0] / SITE / "torch").symlink_to(target)
    assert look(layers) == layer_probe.unknown(f"layer 3: /{SITE}/torch: is a link, which is not followed")


def test_a_link_to_a_torch_outside_of_the_layer_is_not_read(layers: list[Path], tmp_path: Path) -> None:
    outside = put(tmp_path / "host")
    (layers[0] / SITE / "torch").mkdir(parents=True)
    (layers[0] / SITE / "torch/version.py").symlink_to(outside)
    (layers[0] / "home").symlink_to(tmp_path / "host")
    assert look(layers) == layer_probe.unknown(f"layer 3: /{SITE}/torch/version.py: not a regular file")


def make_device(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero


def make_socket(path: Path) -> None:
    os.chdir(path.parent)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)


@pytest.mark.parametrize(
    "make",
    [os.mkfifo, Path.mkdir, make_socket, pytest.param(make_device, marks=AS_ROOT)],
    ids=lambda make: make.__name__,
)
def test_what_is_not_a_regular_file_is_never_opened(
    layers: list[Path],
    make: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    place = layers[0] / SITE / "torch/version.py"
    place.parent.mkdir(parents=True)
    make(place)
    assert look(layers) == layer_probe.unknown(f"layer 3: /{SITE}/torch/version.py: not a regular file")


def test_of_a_huge_version_file_only_the_beginning_is_read(layers: list[Path]) -> None:
    put(layers[0], text=" " * version_file.MOST_BYTES + torch_file.text("2.4.0"))
    assert look(layers) == layer_probe.unknown(f"layer 3: /{SITE}/torch/version.py: contains no version")


def test_a_layer_of_too_many_entries_is_unknown(layers: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_walk, "ENTRIES", 100)
    for number in range(101):
        (layers[0] / str(number)).touch()
    assert look(layers) == layer_probe.unknown("layer 3: it has more than 100 entries")


def test_a_layer_that_takes_too_long_is_unknown_and_read_again_for_another_image(
    layers: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(layers[0])
    reader = Reader()
    monkeypatch.setattr(layer_stack, "SECONDS", -1.0)
    late = "layer 1: the time limit for the image passed before it was read"
    assert reader.probe([str(layers[0])]) == layer_probe.unknown(late)
    monkeypatch.setattr(layer_stack, "SECONDS", 60.0)
    assert reader.probe([str(layers[0])]) == found("2.4.0", 1)


def test_a_walk_ends_when_its_time_is_over(layers: list[Path]) -> None:
    for number in range(300):
        (layers[0] / str(number)).touch()
    times = iter([0.0, 61.0])
    assert layer_walk.read(str(layers[0]), 60.0, now=lambda: next(times)).late


def test_a_folder_of_too_many_folders_is_unknown(layers: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_walk, "FOLDERS", 10)
    for number in range(11):
        (layers[0] / str(number)).mkdir()
    assert look(layers) == layer_probe.unknown("layer 3: a folder has more than 10 folders")


def test_folders_that_are_nested_too_deeply_are_unknown_and_the_others_are_read(layers: list[Path]) -> None:
    Path(layers[0], *"a" * 300).mkdir(parents=True)
    assert look(layers) == layer_probe.unknown("layer 3: folders are nested deeper than 32")
    put(layers[0], place="z/site-packages")
    assert look(layers) == found("2.4.0", 3, "z/site-packages")


def test_a_hundred_thousand_entries_are_read_in_seconds(layers: list[Path]) -> None:
    (layers[0] / SITE).mkdir(parents=True)
    for number in range(100_000):
        os.mknod(layers[0] / SITE / str(number))
    put(layers[0])
    assert look(layers) == found("2.4.0", 3)


def test_a_folder_that_may_not_be_read_leaves_the_image_unknown(
    layers: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (layers[0] / "home").mkdir()
    real = os.open

    def refuse(name, flags, **more):  # type: ignore[no-untyped-def]
        if name == "home":
            raise PermissionError(13, "Permission denied")
        return real(name, flags, **more)

    monkeypatch.setattr(os, "open", refuse)
    assert look(layers) == layer_probe.unknown("layer 3: /home: permission denied")


def test_a_layer_that_is_gone_is_unknown_and_its_folder_on_the_host_is_not_told(layers: list[Path]) -> None:
    layers[1].rmdir()
    assert look(layers) == layer_probe.unknown("layer 2: no such file or directory")


def test_an_image_without_folders_is_unknown(layers: list[Path]) -> None:
    assert look([]).result is ProbeResult.UNKNOWN


def test_names_that_are_no_text_are_told_as_text(layers: list[Path]) -> None:
    odd = os.fsdecode(b"caf\xe9")
    put(layers[0], place=f"{odd}/site-packages")
    assert look(layers) == found("2.4.0", 3, "caf?/site-packages")


def test_a_layer_that_images_share_is_read_once(layers: list[Path]) -> None:
    asked: list[str] = []

    def read(folder: str, until: float) -> layer_walk.Layer:
        asked.append(folder)
        return layer_walk.read(folder, until)

    reader = Reader(read)
    for stack in (layers, layers[1:]):
        reader.probe([str(layer) for layer in stack])
    assert asked == [str(layer) for layer in layers]
