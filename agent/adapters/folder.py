"""The state folder on its disk: whether it exists, whether this user can create it or write to it, and what to do."""

import errno
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from agent.adapters import reserve, sharing
from agent.adapters.state_errors import StateError, StateFull

FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM)
# All names that torchkeeper gives to files in the folder; the monitor's database may be there, too.
_OURS = (
    "lost+found",
    "state.db",
    "overrides",
    "holds.json",
    "agent.lock",
    "agent-id",
    "reserve",
    "instead-of",
    "look-inside.",
    "fleet.",
)
_NO_FOLDER = (errno.ENOTDIR, errno.EEXIST, errno.ENOENT, errno.ELOOP)


def is_there(path: Path) -> bool:
    """Whether the path exists, even as a dangling link. Raises StateError if this user may not see it."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise unusable(path, error) from None
    return True


def can_be_made(folder: Path) -> bool:
    """Whether this user may create a folder that does not exist. Creates nothing."""
    parent = next(parent for parent in folder.parents if is_there(parent))
    # A parent that is not a folder is a mistake in the path and not a lack of permission: `prepare` names it.
    return not parent.is_dir() or os.access(parent, os.W_OK | os.X_OK, effective_ids=True)


def prepare(folder: Path) -> None:
    """Create the folder if it does not exist, for its owner and the group, and check that it is writable.

    On a full disk the reserve is released. Raises StateError.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(folder, error) from None
    try:
        probe(folder)
    except StateFull:
        if not reserve.release(folder):
            raise
        probe(folder)
    if _is_only_ours(folder):
        sharing.share_folder(folder, sharing.FOLDER, follow=True)


def _is_only_ours(folder: Path) -> bool:
    """Whether nothing else is stored in the folder: the permissions of, say, /tmp or /root are not ours to change."""
    with suppress(OSError), os.scandir(folder) as entries:
        return all(entry.name.startswith(_OURS) for entry in entries)
    return False


def probe(folder: Path) -> None:
    """Whether a file can be made here: permissions, a read-only or a full file system. Raises StateError."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise unusable(folder, error) from None


def give_to_owner(path: Path) -> None:
    """If root created a file or a folder, give it to the owner of its folder if possible: the agent must be able to
    use it.

    Links are not followed: the folder's owner could have linked to one of root's files. The file is opened with O_PATH:
    closing any other handle of the state file would release SQLite's locks on it in this process, and then another
    process that closes the database would delete its write-ahead log.
    """
    if os.geteuid() == 0:
        with suppress(OSError):
            handle = os.open(path, os.O_PATH | os.O_NOFOLLOW)
            try:
                found, owner = os.fstat(handle), path.parent.stat()
                ours = stat.S_ISDIR(found.st_mode) or (stat.S_ISREG(found.st_mode) and found.st_nlink == 1)
                if ours and found.st_uid != owner.st_uid:
                    os.chown(f"/proc/self/fd/{handle}", owner.st_uid, owner.st_gid)
            finally:
                os.close(handle)


def replace_file(path: Path, data: bytes, *, readable: bool = False) -> None:
    """Replace a file atomically: a reader finds either the old file or the new one, complete. Raises OSError.

    Whoever may write to the folder may write to the file. `readable`: whoever may read the folder may read the file.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as stream:
            if path.parent.stat().st_mode & stat.S_IWGRP:
                os.fchmod(handle, 0o660)
            elif readable and path.parent.stat().st_mode & stat.S_IRGRP:
                os.fchmod(handle, 0o640)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        give_to_owner(Path(name))
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def owner_of(path: Path) -> str:
    """The name of a file's owner, or `uid N` if it has no name; "" if this user may not see it."""
    try:
        return path.owner()
    except KeyError:
        return f"uid {path.stat().st_uid}"
    except OSError:
        return ""


def unusable(folder: Path, error: OSError) -> StateError:
    """Turn an OSError about the state folder into a StateError that says what to do."""
    kind = StateFull if error.errno in FULL else StateError
    return kind(f"agent.state_dir: {_why(folder, error)}")


def _why(folder: Path, error: OSError) -> str:
    if error.errno in FULL:
        return f"the disk under {folder} is full, and the reserve there is used up; free some room"
    if error.errno in _NO_FOLDER:
        return _no_folder(folder, error)
    if error.errno == errno.EROFS:
        return f"{folder} is on a read-only file system; remount it, or set another folder"
    if error.errno in _FORBIDDEN:
        return f"{folder}: {error.strerror} for uid {os.geteuid()}; {_way_in(folder)}"
    return f"{folder}: {error.strerror}; check its disk, or set another folder"


def _way_in(folder: Path) -> str:
    way, owner = sharing.way_in(folder), owner_of(folder)
    if way != sharing.AS_OWNER:
        return way
    return f"{f'it belongs to {owner}; run this as that user' if owner else way}, or set another folder"


def _no_folder(folder: Path, error: OSError) -> str:
    for path in (folder, *folder.parents):
        if path.is_symlink() and not path.exists():
            return f"{path} is a dangling link to {path.readlink()}; create that folder, or set another one"
        if path.exists() and not path.is_dir():
            return f"{path} is not a folder; set a folder"
    return f"{folder}: {error.strerror}; set another folder"
