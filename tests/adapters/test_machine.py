"""Which machine this is: each source on its own, and how they decide together."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.adapters import machine
from agent.adapters.machine import DISK, DMI, MACHINE_ID, Facts
from tests.support import proc

UUID = "4c4c4544-0051-3610-8052-b4c04f4d3233"
ID = "0123456789abcdef0123456789abcdef"


def write(root: Path, path: str, text: str = "") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def block_device(root: Path, folder: Path) -> Path:
    """Where the kernel describes the device that a folder is on; its own folder is there afterwards."""
    device = folder.stat().st_dev
    path = root / "sys/dev/block" / f"{os.major(device)}:{os.minor(device)}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def sources(root: Path) -> set[str]:
    return set(machine.facts(root, root))


def test_each_source_that_can_be_read_is_noted_as_a_hash(tmp_path: Path) -> None:
    write(tmp_path, "sys/class/dmi/id/product_uuid", f"{UUID}\n")
    write(tmp_path, "etc/machine-id", f"{ID}\n")
    write(block_device(tmp_path, tmp_path), "wwid", "eui.0025385a9150aa12\n")
    found = machine.facts(tmp_path, tmp_path)
    assert found.keys() == {DMI, MACHINE_ID, DISK}
    assert [len(hashes) for hashes in found.values()] == [1, 1, 1]
    assert not any(secret in str(found) for secret in (UUID, ID, "0025385a9150aa12"))
    assert machine.facts(tmp_path, tmp_path) == found


def test_a_machine_that_reports_nothing_has_no_facts(tmp_path: Path) -> None:
    assert machine.facts(tmp_path, tmp_path) == machine.facts(tmp_path / "none", tmp_path) == {}


@pytest.mark.parametrize(
    "uuid",
    [*(re.sub("[0-9a-f]", digit, UUID) for digit in "0F"), "Not Settable", "", *sorted(machine._PLACEHOLDERS)],
)
def test_a_uuid_that_many_boards_share_is_not_a_fact(tmp_path: Path, uuid: str) -> None:
    write(tmp_path, "sys/class/dmi/id/product_uuid", uuid)
    assert sources(tmp_path) == set()


@pytest.mark.parametrize("text", ["", "uninitialized", ID[:-1], ID + "\n" + ID])
def test_a_placeholder_for_a_machine_id_is_not_a_fact(tmp_path: Path, text: str) -> None:
    write(tmp_path, "etc/machine-id", text)
    assert sources(tmp_path) == set()


@pytest.mark.parametrize("mark", [".dockerenv", "run/.containerenv"])
def test_the_machine_id_of_a_containers_image_is_not_a_fact(tmp_path: Path, mark: str) -> None:
    write(tmp_path, "etc/machine-id", ID)
    write(tmp_path, mark)
    assert sources(tmp_path) == set()


def test_the_machine_id_of_an_image_in_kubernetes_is_not_a_fact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "etc/machine-id", ID)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert sources(tmp_path) == set()


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own."""
    proc.require_root()
    folder = tmp_path / "other"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True, check=False)
    proc.require(done.returncode == 0, f"no tmpfs can be mounted: {done.stderr.decode()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.real
def test_the_hosts_machine_id_mounted_into_a_container_is_a_fact(tmp_path: Path, other_disk: Path) -> None:
    write(tmp_path, ".dockerenv")
    hosts, inside = write(other_disk, "machine-id", ID), write(tmp_path, "etc/machine-id")
    subprocess.run(["mount", "--bind", hosts, inside], check=True)
    try:
        assert sources(tmp_path) == {MACHINE_ID}
    finally:
        subprocess.run(["umount", inside], check=True)


@pytest.mark.parametrize("name", machine._SERIALS)
def test_a_disk_is_known_by_whatever_serial_number_it_has(tmp_path: Path, name: str) -> None:
    write(block_device(tmp_path, tmp_path), name, "S4EWNX0R\n")
    assert sources(tmp_path) == {DISK}


def test_a_disk_of_which_another_kernel_says_something_else_is_the_same(tmp_path: Path) -> None:
    write(block_device(tmp_path, tmp_path), "wwid", "eui.0000000000000001")
    write(block_device(tmp_path, tmp_path), "device/serial", "S4EWNX0R")
    before = machine.facts(tmp_path, tmp_path)
    write(block_device(tmp_path, tmp_path), "wwid", "nvme.144d-S4EWNX0R")
    assert before != machine.facts(tmp_path, tmp_path)
    assert not machine.is_another(before, machine.facts(tmp_path, tmp_path))


def test_a_partition_is_known_by_its_disk(tmp_path: Path) -> None:
    disk = tmp_path / "sys/devices/nvme0n1"
    write(disk, "wwid", "eui.1")
    write(disk, "nvme0n1p2/partition", "2")
    block_device(tmp_path, tmp_path).symlink_to(disk / "nvme0n1p2")
    whole = machine.facts(tmp_path, tmp_path)
    block_device(tmp_path, tmp_path).unlink()
    block_device(tmp_path, tmp_path).symlink_to(disk)
    assert machine.facts(tmp_path, tmp_path) == whole != {}


def test_a_volume_is_known_by_the_disks_below_it(tmp_path: Path) -> None:
    devices = tmp_path / "sys/devices"
    for name in ("sda", "sdb"):
        write(devices / name, "device/wwid", f"naa.{name}")
        write(devices / name, f"{name}1/partition", "1")
    volume = block_device(tmp_path, tmp_path)
    (volume / "slaves").mkdir(parents=True)
    for name in ("sda", "sdb"):
        (volume / "slaves" / f"{name}1").symlink_to(devices / name / f"{name}1")
    assert len(machine.facts(tmp_path, tmp_path)[DISK]) == 2


A: Facts = {DMI: ["a"], DISK: ["a1", "a2"], MACHINE_ID: ["a"]}


@pytest.mark.parametrize(
    ("then", "now", "another"),
    [
        (A, A, False),
        ({}, A, False),  # never noted: this one
        (A, {}, False),  # nothing can be read: no proof
        ({DMI: ["a"]}, {MACHINE_ID: ["b"]}, False),  # no source that both have
        (A, {**A, DMI: ["b"]}, True),
        (A, {**A, MACHINE_ID: ["b"], DISK: ["b1"]}, False),  # the board decides: a new system on a new disk
        ({MACHINE_ID: ["a"]}, {MACHINE_ID: ["b"]}, True),
        ({MACHINE_ID: ["a"], DISK: ["a1"]}, {MACHINE_ID: ["a"], DISK: ["b1"]}, True),  # from one golden image
        ({DISK: ["a1", "a2"]}, {DISK: ["a2", "a3"]}, False),  # a disk of several was replaced
    ],
)
def test_the_board_decides_or_one_source_that_differs(then: Facts, now: Facts, another: bool) -> None:
    assert machine.is_another(then, now) is another
