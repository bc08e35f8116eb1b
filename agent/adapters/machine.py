"""What tells this machine from another, so that state which was copied along with a disk or a backup is recognised.

No single source serves everywhere: in a container the machine-id is the image's own, the DMI UUID is for root alone,
and machines made from one golden image share a machine-id. So each source that can be read is noted, as a hash, and
a source that cannot be read proves nothing. The engine's ID is not a source: clones share it, and a new installation
of Docker on the same machine changes it.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

Facts = Mapping[str, list[str]]  # source -> hashes of what it says; only sources that say something

DMI, DISK, MACHINE_ID = "dmi", "disk", "machine-id"

# UUIDs that vendors left in many boards, as /sys/class/dmi/id/product_uuid shows them.
_PLACEHOLDERS = {
    "03000200-0400-0500-0006-000700080009",
    "00020003-0004-0005-0006-000700080009",
    "12345678-1234-5678-90ab-cddeefaabbcc",
}
_SERIALS = ("wwid", "device/wwid", "serial", "device/serial")  # of a disk; another kernel may change one of them
_CONTAINER_MARKS = (".dockerenv", "run/.containerenv")


def facts(folder: Path, root: Path = Path("/")) -> Facts:
    """What each source says now. `folder` is the state's: the disk below it is one source."""
    said = {DMI: _product_uuid(root), DISK: _disks(folder, root), MACHINE_ID: _machine_id(root)}
    return {source: sorted(_hash(source, text) for text in texts) for source, texts in said.items() if texts}


def is_another(then: Facts, now: Facts) -> bool:
    """Whether these are the facts of two machines.

    The DMI UUID decides where both have one. Otherwise one source that differs is enough; the disk differs where it
    has no serial number in common. So a new mainboard counts as another machine, and without the UUID a new disk does.
    """
    common = then.keys() & now.keys()
    if DMI in common:
        return then[DMI] != now[DMI]
    return any(set(then[source]).isdisjoint(now[source]) for source in common)


def _hash(source: str, text: str) -> str:
    """Serial numbers are nobody's business, and the state may be read by others."""
    return hashlib.sha256(f"torchkeeper {source} {text}".encode()).hexdigest()[:32]


def _product_uuid(root: Path) -> set[str]:
    uuid = _read(root / "sys/class/dmi/id/product_uuid").lower()
    made_up = uuid in _PLACEHOLDERS or len(set(uuid) - {"-"}) < 4
    return set() if made_up or not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", uuid) else {uuid}


def _machine_id(root: Path) -> set[str]:
    """In a container only the host's, mounted into it: the image's own changes with the image."""
    path = root / "etc/machine-id"
    in_container = any((root / mark).exists() for mark in _CONTAINER_MARKS) or "KUBERNETES_SERVICE_HOST" in os.environ
    text = _read(path)
    trusted = not in_container or os.path.ismount(path)
    return {text} if trusted and re.fullmatch(r"[0-9a-f]{32}", text) else set()


def _disks(folder: Path, root: Path) -> set[str]:
    """The serial numbers of the disks that the folder is on."""
    try:
        device = folder.stat().st_dev
    except OSError:
        return set()
    whole = _whole_disks(root / "sys/dev/block" / f"{os.major(device)}:{os.minor(device)}")
    return {serial for disk in whole for name in _SERIALS if (serial := _read(disk / name))}


def _whole_disks(device: Path) -> Iterator[Path]:
    """The disks below a block device, through partitions, LVM and RAID. None for overlay, ZFS or a network."""
    parts = list((device / "slaves").glob("*"))
    if parts:
        for part in parts:
            yield from _whole_disks(part)
    elif (device / "partition").exists():
        yield device.resolve().parent
    elif device.exists():
        yield device


def _read(path: Path) -> str:
    """A line of the kernel's or the system's; "" where it cannot be read."""
    try:
        return path.read_bytes().decode("ascii", errors="replace").strip(" \n\0")
    except OSError:
        return ""
