"""The overrides (pins and the pause), in a small file that people also read and edit by hand.

If any part of the file is malformed or has no meaning, the whole file counts as unreadable, and nothing is evicted.

It is in a folder of its own, to which the members of the group `torchkeeper` may write. They may put anything there, so
nothing in that folder is trusted: no link is followed, and only a plain file of a bounded size is read.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agent.adapters import folder as folders
from agent.adapters import overrides_file, reserve, sharing
from agent.core import text, units
from agent.core.policy.overrides import Overrides

FOLDER = "overrides"
FILE = f"{FOLDER}/holds.json"
FORMER = "holds.json"  # where the file was before the folder existed
MOST_BYTES = 4_000_000  # some 15,000 pins; the file is read before every removal
PATIENCE = 10.0  # seconds to wait for another command that changes the file
_NO_FILE = (errno.ELOOP, errno.ENXIO, errno.EISDIR)  # a link, a socket, a folder


class OverridesUnreadable(Exception):
    """The file with pins and the pause cannot be read; the message says why, and what to do."""

    def __init__(self, detail: str, hint: str, effect: str = "nothing is evicted until then") -> None:
        super().__init__(f"{detail}; {hint}; {effect}")
        self.detail = detail
        self.hint = hint
        self.effect = effect


def load(folder: Path) -> Overrides:
    """The pins and the pause in the file; none if there is no file yet. Raises OverridesUnreadable."""
    path = _place(folder)
    data = _read(path)
    try:
        return overrides_file.read(data) if data is not None else Overrides()
    except RecursionError:
        raise OverridesUnreadable(f"{path}: is nested too deeply", "correct the file") from None
    except ValueError as error:
        raise OverridesUnreadable(f"{path}: {text.clean(str(error))}", "correct that in the file") from None


def _place(folder: Path) -> Path:
    """Where the file is. Raises OverridesUnreadable if it is in both places: each may have pins of its own."""
    path, former = folder / FILE, folder / FORMER
    if not os.path.lexists(former):
        return path
    if os.path.lexists(path):
        raise OverridesUnreadable(f"{former} and {path} both exist", f"put all pins into {path} and remove {former}")
    return former


def _read(path: Path) -> bytes | None:
    """The whole file; None if it does not exist."""
    try:
        # O_NONBLOCK: opening a pipe would block forever
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as stream:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise _not_a_file(path)
            data = stream.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return None
    except PermissionError as error:
        effect = "an agent that may not read it evicts nothing"
        detail = f"{path}: {error.strerror} for uid {os.geteuid()}"
        raise OverridesUnreadable(detail, sharing.way_in(path), effect) from None
    except OSError as error:
        if error.errno in _NO_FILE:
            raise _not_a_file(path) from None
        raise OverridesUnreadable(f"{path}: {error.strerror}", "check its disk") from None
    if len(data) > MOST_BYTES:
        raise OverridesUnreadable(f"{path}: is larger than {units.format_bytes(MOST_BYTES)}", "take old pins out of it")
    return data


def _not_a_file(path: Path) -> OverridesUnreadable:
    what = "is a link and not a file" if path.is_symlink() else "is not a file"
    return OverridesUnreadable(f"{path}: {what}", "put the file with the pins in its place")


def prepare(folder: Path) -> None:
    """Make the folder of the file, for the group to write to, and move the file from its former place. Raises OSError.

    A SIGKILL before the move leaves the file where it was, and it is still read there.
    """
    _make(folder)
    if os.path.lexists(folder / FORMER):
        with _locked(folder):
            _take_over(folder)


def change(folder: Path, edit: Callable[[Overrides], Overrides]) -> Overrides:
    """Edit the overrides, one writer at a time. A reader finds either the old file or the new one, complete.

    Raises OverridesUnreadable, OSError.
    """
    _make(folder)
    with _locked(folder):
        _take_over(folder)
        overrides = edit(load(folder))
        _write(folder, overrides_file.text(overrides).encode())
    return overrides


def _make(folder: Path) -> None:
    place = folder / FOLDER
    with suppress(FileExistsError):
        place.mkdir(mode=0o700)
        folders.give_to_owner(place)
    sharing.share_folder(place, sharing.WRITABLE_FOLDER, follow=False)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Be the only writer. The lock is on the folder: a file for it could be replaced by a link to another file."""
    from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_delay, wait_fixed  # slow to load

    handle = os.open(folder / FOLDER, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    trying = Retrying(
        retry=retry_if_exception_type(BlockingIOError), stop=stop_after_delay(PATIENCE), wait=wait_fixed(0.05)
    )
    try:
        trying(fcntl.flock, handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except RetryError:
        raise OSError(errno.EBUSY, "another command is changing it now; try again") from None
    finally:
        os.close(handle)


def _take_over(folder: Path) -> None:
    path, former = folder / FILE, folder / FORMER
    if former.is_file() and not former.is_symlink() and not os.path.lexists(path):
        former.rename(path)
        sharing.share_file(path)


def identity(folder: Path) -> tuple[int, ...] | None:
    """Device and inode of the folders: they differ if an unmounted disk leaves an empty one. None if there is none."""
    try:
        found = [place.stat() for place in (folder, folder / FOLDER)]
    except OSError:
        return None
    return tuple(number for status in found for number in (status.st_dev, status.st_ino))


def stamp(folder: Path) -> tuple[int, ...]:
    """A value that changes whenever the file changes."""
    return (*_stamp(folder / FILE), *_stamp(folder / FORMER))


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        status = path.lstat()
    except OSError:
        return ()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _write(folder: Path, data: bytes) -> None:
    """Write the file. On a full disk it releases the reserve, so that pins and pauses still work."""
    if len(data) > MOST_BYTES:
        raise OSError(errno.EFBIG, f"would be larger than {units.format_bytes(MOST_BYTES)}; take old pins out of it")
    try:
        folders.replace_file(folder / FILE, data)
    except OSError as error:
        if error.errno not in folders.FULL or not reserve.release(folder):
            raise
        folders.replace_file(folder / FILE, data)
