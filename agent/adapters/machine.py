"""Facts that distinguish this machine from others, to recognise state that was copied with a disk or a backup.

No single source works everywhere: in a container the machine-id belongs to the image, only root can read the DMI UUID,
and machines made from one golden image share a machine-id. So the hash of each readable source is stored, and a source
that cannot be read proves nothing. The engine's ID is not a source: clones share it, and a new installation of Docker
on the same machine changes it.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

Facts = Mapping[str, list[str]]  # source -> hashes of its values; only sources that have a value

DMI, DISK, MACHINE_ID = "dmi", "disk", "machine-id"

# UUIDs that vendors left in many boards, in the form of /sys/class/dmi/id/product_uuid.
_PLACEHOLDERS = {
    "03000200-0400-0500-0006-000700080009",
    "00020003-0004-0005-0006-000700080009",
    "12345678-1234-5678-90ab-cddeefaabbcc",
}
_SERIALS = ("wwid", "device/wwid", "serial", "device/serial")  # of a disk; another kernel may change one of them
_CONTAINER_MARKS = (".dockerenv", "run/.containerenv")


def facts(folder: Path, root: Path = Path("/")) -> Facts:
    """The facts of this machine now. `folder` is the state folder: the disk that it is on is one source."""
    values = {DMI: _product_uuid(root), DISK: _disks(folder, root), MACHINE_ID: _machine_id(root)}
    return {source: sorted(_hash(source, text) for text in texts) for source, texts in values.items() if texts}


def is_another(then: Facts, now: Facts) -> bool:
    """Whether these are the facts of two different machines.

    If both have a DMI UUID, it decides. Otherwise one differing source is enough; disks differ if they have no serial
    number in common. So a new mainboard counts as another machine, and without a UUID a new disk does.
    """
    common = then.keys() & now.keys()
    if DMI in common:
        return then[DMI] != now[DMI]
    return any(set(then[source]).isdisjoint(now[source]) for source in common)


def _hash(source: str, text: str) -> str:
    """Hash a value: serial numbers are private, and others may read the state."""
    return hashlib.sha256(f"torchkeeper {source} {text}".encode()).hexdigest()[:32]


def _product_uuid(root: Path) -> set[str]:
    uuid = _read(root / "sys/class/dmi/id/product_uuid").lower()
    is_placeholder = uuid in _PLACEHOLDERS or len(set(uuid) - {"-"}) < 4
    return set() if is_placeholder or not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", uuid) else {uuid}


def _machine_id(root: Path) -> set[str]:
    """The machine-id. In a container only one mounted from the host counts: the image's own changes with the image."""
    path = root / "etc/machine-id"
    in_container = any((root / mark).exists() for mark in _CONTAINER_MARKS) or "KUBERNETES_SERVICE_HOST" in os.environ
    text = _read(path)
    trusted = not in_container or os.path.ismount(path)
    return {text} if trusted and re.fullmatch(r"[0-9a-f]{32}", text) else set()


def _disks(folder: Path, root: Path) -> set[str]:
    """The serial numbers of the disks that store the folder."""
    try:
        device = folder.stat().st_dev
    except OSError:
        return set()
    whole = _whole_disks(root / "sys/dev/block" / f"{os.major(device)}:{os.minor(device)}")
    return {serial for disk in whole for name in _SERIALS if (serial := _read(disk / name))}


def _whole_disks(device: Path) -> Iterator[Path]:
    """The disks below a block device, through partitions, LVM and RAID; empty for overlay, ZFS or network storage."""
    parts = list((device / "slaves").glob("*"))
    if parts:
        for part in parts:
            yield from _whole_disks(part)
    elif (device / "partition").exists():
        yield device.resolve().parent
    elif device.exists():
        yield device


def _read(path: Path) -> str:
    """The text of a one-line system file; "" if it cannot be read."""
    try:
        return path.read_bytes().decode("ascii", errors="replace").strip(" \n\0")
    except OSError:
        return ""
