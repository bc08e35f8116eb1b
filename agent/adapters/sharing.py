"""Who may use the state besides its owner: the members of the group `torchkeeper`, if the system has that group.

Members read the state, and change pins and the pause. They cannot change what the agent knows about images.
"""

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agent.core import text

GROUP = "torchkeeper"
FOLDER = 0o2750  # setgid: files that are made in it get its group
WRITABLE_FOLDER = 0o2770
FILE = 0o640
PRIVATE_FILE = 0o600
LONGEST_NAME = 100  # characters
AS_OWNER = "run this as the agent's user"


def person() -> str:
    """Who runs this command: the user, or who became that user by sudo. Everybody may pretend to be another."""
    return text.shortened(text.one_line(os.environ.get("SUDO_USER") or user_name()), LONGEST_NAME)


def user_name() -> str:
    """The user whose rights this process has."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def share_file(path: Path) -> None:
    """Let the group read a file of this user. Without the group, only the owner may.

    Links are not followed, and a file with several names stays as it is: the folder's owner could have linked to one of
    root's files.
    """
    with _opened(path, os.O_NOFOLLOW) as handle:
        found = os.fstat(handle) if handle is not None else None
        if handle is not None and found is not None and stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
            _share(handle, FILE if _gid() is not None else PRIVATE_FILE)


def share_folder(path: Path, mode: int, *, follow: bool) -> None:
    """Let the group use a folder of this user, with this mode. Without the group, others lose their access to it.

    `follow`: whether the path may be a link, which it may only if nobody but root could have made it.
    """
    with _opened(path, os.O_DIRECTORY | (0 if follow else os.O_NOFOLLOW)) as handle:
        if handle is not None:
            _share(handle, mode if _gid() is not None else os.fstat(handle).st_mode & 0o750)


def is_guest(folder: Path) -> bool:
    """Whether this user may read a folder as a member of its group, but not write to it."""
    try:
        found = folder.stat()
    except OSError:
        return False
    others = os.geteuid() not in (0, found.st_uid) and found.st_gid in _own_groups()
    return others and found.st_mode & 0o070 == 0o050


def why_not_shared(folder: Path) -> str:
    """Why the group, which exists, has no access to the state; "" if it has, or if there is no such group."""
    group = _group()
    if group is None or _is_shared(folder, group.gr_gid):
        return ""
    if _gid() is None:
        return f"the group {GROUP} exists, but cannot read {folder}: {user_name()} is not in it"
    return f"the group {GROUP} exists, but cannot read {folder}: that folder has files of other programs"


def way_in(path: Path) -> str:
    """What a user must do who may not use a file or folder of the state; AS_OWNER if the group would not help."""
    group = _group()
    if group is None or os.geteuid() == 0 or group.gr_gid in _own_groups() or not _is_shared(path, group.gr_gid):
        return AS_OWNER
    name = user_name()
    if name in group.gr_mem:
        return f"{name} joined the group {GROUP} after this login: log in again"
    return f"only the group {GROUP} may use it: run `sudo usermod -aG {GROUP} {name}`, then log in again"


def _is_shared(path: Path, gid: int) -> bool:
    """Whether the group may use a path, or the nearest folder above it that this user may see."""
    for place in (path, *path.parents):
        with suppress(OSError):
            found = place.stat()
            return found.st_gid == gid and bool(found.st_mode & stat.S_IRGRP)
    return False


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int | None]:
    """The path, opened only to change its owner and mode; None if that is not possible.

    With O_PATH, because closing any other handle of the state file would release SQLite's locks on it.
    """
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC | flags)
    except OSError:
        yield None
        return
    try:
        yield handle
    finally:
        os.close(handle)


def _share(handle: int, mode: int) -> None:
    """Change group and mode. Where this user may not, both stay as they are."""
    gid, place = _gid(), f"/proc/self/fd/{handle}"
    with suppress(OSError):
        if gid is not None and os.fstat(handle).st_gid != gid:
            os.chown(place, -1, gid)
        if stat.S_IMODE(os.fstat(handle).st_mode) != mode:
            Path(place).chmod(mode)


def _group() -> grp.struct_group | None:
    try:
        return grp.getgrnam(GROUP)
    except KeyError:
        return None


def _gid() -> int | None:
    """The group's number; None if it does not exist, or if this user may not give files to it."""
    group = _group()
    return group.gr_gid if group is not None and (os.geteuid() == 0 or group.gr_gid in _own_groups()) else None


def _own_groups() -> set[int]:
    return {os.getegid(), *os.getgroups()}
