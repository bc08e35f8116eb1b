"""Reads the files of one layer without following links. A layer is a folder with untrusted content."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque", "user.fuseoverlayfs.opaque")
_OPAQUE_FILES = (".wh..wh..opq", ".wh..opq")  # of drivers that write no extended attribute
_REDIRECT = ("trusted.overlay.redirect", "user.overlay.redirect")
_SYS_ADMIN = 21  # the capability that is needed to read `trusted.` attributes
_EVERY_UID = ["0", "0", "4294967295"]  # the uid map of the initial user namespace, in which the capability has effect


class UnsureError(Exception):
    """This process cannot find out whether a layer hides a file; the message says why."""


@contextmanager
def folder(name: str, at: int | None = None) -> Iterator[int]:
    """Open a folder, unless it is a link. Raises OSError."""
    descriptor = os.open(name, _FOLDER, dir_fd=at)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def kind(name: str, at: int) -> int:
    """The file type of a name (`stat.S_IFMT`); 0 if it does not exist. Raises OSError."""
    try:
        return stat.S_IFMT(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return 0


def beginning(name: str, at: int, most: int) -> str:
    """The first bytes of a regular file. The type is checked before opening, as opening a device may have effects.

    Raises OSError, also if it is not a regular file.
    """
    if kind(name, at) != stat.S_IFREG:
        raise OSError(0, "not a regular file")
    descriptor = os.open(name, _FILE, dir_fd=at)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "not a regular file")
        return os.read(descriptor, most).decode(errors="replace")
    finally:
        os.close(descriptor)


def is_whiteout(name: str, at: int) -> bool:
    """Whether a name is an overlay's mark of a removed file: a character device 0:0."""
    status = os.stat(name, dir_fd=at, follow_symlinks=False)
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def was_renamed(descriptor: int) -> bool:
    """Whether a folder was renamed without copying its content, which stays in a lower layer under the old name."""
    return any(_attribute(descriptor, name) for name in _REDIRECT)


def hides(root: str, path: str) -> bool:
    """Whether a layer hides a file of the layers below it, by a whiteout, an opaque folder, or a file of its own.

    Raises UnsureError, OSError.
    """
    with folder(root) as descriptor:
        return _hides(descriptor, path.strip("/").split("/"))


def _hides(at: int, parts: list[str]) -> bool:
    name, below = parts[0], parts[1:]
    if kind(f".wh.{name}", at):
        return True
    file_type = kind(name, at)
    if file_type != stat.S_IFDIR or not below:
        return file_type != 0
    with folder(name, at) as descriptor:
        return _is_opaque(descriptor) or _hides(descriptor, below)


def _is_opaque(descriptor: int) -> bool:
    values = {value for name in _OPAQUE if (value := _attribute(descriptor, name))}
    if b"y" in values or any(kind(name, descriptor) for name in _OPAQUE_FILES):
        return True
    if values or was_renamed(descriptor):
        raise UnsureError("an upper layer has a folder of an unknown kind")
    if not sees_trusted():
        raise UnsureError("without CAP_SYS_ADMIN it cannot be seen what an upper layer hides")
    return False


def _attribute(descriptor: int, name: str) -> bytes:
    try:
        return os.getxattr(descriptor, name)
    except OSError:
        return b""


@cache
def sees_trusted() -> bool:
    """Whether this process can read the attributes with which an overlay marks its folders."""
    try:
        status = Path("/proc/self/status").read_text()
        first_namespace = Path("/proc/self/uid_map").read_text().split() == _EVERY_UID
        effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
        return first_namespace and bool(int(effective.split()[1], 16) >> _SYS_ADMIN & 1)
    except (OSError, ValueError, StopIteration, IndexError):
        return False
