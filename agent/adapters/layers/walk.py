"""Finds each `torch/version.py` in one layer of an image, and parses it.

The walk is bounded in depth, entries and time. If anything could not be read, the result says so (`doubt`): then the
layer may contain a torch that was not found.
"""

import os
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agent.adapters.layers import files
from agent.core.pytorch import version_file
from agent.core.pytorch.version_file import Torch

PACKAGES = frozenset({"site-packages", "dist-packages"})
DEPTH = 32  # nested folders
ENTRIES = 1_000_000  # in one layer; the largest public images have some 300,000 in all their layers
FOLDERS = 50_000  # in one folder
CANDIDATES = 64  # version files in one layer
# Caches of installers do not count as an installed torch: those of pip and uv, and `pkgs` of a conda.
CACHE, CONDA_PACKAGES, CONDA = ".cache", "pkgs", "conda-meta"


@dataclass(slots=True)
class Layer:
    """The torches of one layer. `doubt`: why there may be more; "" if the layer was read completely."""

    torches: dict[str, Torch] = field(default_factory=dict)  # path inside the image -> its content
    doubt: str = ""
    late: bool = False  # the time limit passed before the end; another try may succeed


class _BoundError(Exception):
    """A limit of the walk was reached; the message says which."""


class _LateError(_BoundError):
    pass


def read(root: str, until: float, *, now: Callable[[], float] = time.monotonic) -> Layer:
    """Walk one layer, until the time `until` of the clock `now`. Never raises, whatever the layer contains."""
    walk = _Walk(until, now)
    try:
        walk.check_time()
        with files.folder(root) as descriptor:
            walk.descend(descriptor, "", 0)
    except _BoundError as bound:
        walk.doubt("", str(bound))
        walk.layer.late = isinstance(bound, _LateError)
    except OSError as error:
        walk.doubt("", describe_error(error))
    return walk.layer


class _Walk:
    def __init__(self, until: float, now: Callable[[], float]) -> None:
        self.layer = Layer()
        self._now = now
        self._until = until
        self._entries = 0

    def doubt(self, path: str, why: str) -> None:
        self.layer.doubt = self.layer.doubt or (f"{path}: {why}" if path else why)

    def descend(self, descriptor: int, path: str, depth: int) -> None:
        """Search a folder and the folders in it. Raises _BoundError, OSError."""
        folders, has_torch = self._list(descriptor)
        in_packages = path.rpartition("/")[2] in PACKAGES
        if has_torch:
            self._read_torch(descriptor, path, in_packages=in_packages)
        if in_packages:
            return  # it has thousands of folders, and Python does not look for torch inside them
        for name in folders:
            if not _is_cache(name, folders):
                self._enter(descriptor, name, f"{path}/{name}", depth + 1)

    def _enter(self, at: int, name: str, path: str, depth: int) -> None:
        if depth > DEPTH:
            self.doubt("", f"folders are nested deeper than {DEPTH}")
            return
        try:
            with files.folder(name, at) as descriptor:
                if files.was_renamed(descriptor):
                    self.doubt(path, "was renamed without a copy of its content")
                self.descend(descriptor, path, depth)
        except OSError as error:
            self.doubt(path, describe_error(error))

    def _list(self, descriptor: int) -> tuple[list[str], bool]:
        """The sorted folders in a folder, and whether any entry is named torch. Raises _BoundError, OSError."""
        folders, has_torch = [], False
        with os.scandir(descriptor) as entries:
            for entry in entries:
                self._count()
                has_torch = has_torch or entry.name == "torch"
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                if len(folders) > FOLDERS:
                    raise _BoundError(f"a folder has more than {FOLDERS} folders")
        return sorted(folders), has_torch

    def _count(self) -> None:
        self._entries += 1
        if self._entries > ENTRIES:
            raise _BoundError(f"it has more than {ENTRIES} entries")
        if self._entries % 256 == 0:
            self.check_time()

    def check_time(self) -> None:
        if self._now() > self._until:
            raise _LateError("the time limit for the image passed before it was read")

    def _read_torch(self, at: int, path: str, *, in_packages: bool) -> None:
        """Record the entry named torch, if it is the package.

        Outside of a packages folder, its version file must have the form that torch's own build writes. In one, a link
        may lead to a torch. Any other entry of this name is a program, or the mark of a removed file.
        """
        place = f"{path}/torch"
        file_type = files.kind("torch", at)
        if file_type == stat.S_IFDIR:
            self._note(f"{place}/version.py", _read_version_file(at), in_packages=in_packages)
        elif file_type == stat.S_IFLNK and in_packages:
            self.doubt(place, "is a link, which is not followed")

    def _note(self, path: str, text: "str | OSError | None", *, in_packages: bool) -> None:
        if isinstance(text, OSError):
            self.doubt(path, describe_error(text))
        elif text is not None:
            torch = version_file.parse(text)
            if torch is not None and (in_packages or torch.generated):
                self._add(path, torch)
            elif in_packages:
                self.doubt(path, "contains no version")

    def _add(self, path: str, torch: Torch) -> None:
        if len(self.layer.torches) >= CANDIDATES:
            raise _BoundError(f"it has more than {CANDIDATES} files torch/version.py")
        self.layer.torches[path] = torch


def _is_cache(name: str, beside: Sequence[str]) -> bool:
    return name == CACHE or (name == CONDA_PACKAGES and CONDA in beside)


def _read_version_file(at: int) -> "str | OSError | None":
    """The beginning of `torch/version.py`, or why it cannot be read; None if it does not exist or was removed."""
    try:
        with files.folder("torch", at) as torch:
            if not files.kind("version.py", torch) or files.is_whiteout("version.py", torch):
                return None
            return files.beginning("version.py", torch, version_file.MOST_BYTES)
    except OSError as error:
        return error


def describe_error(error: OSError) -> str:
    """The text of an error, without the path on the host."""
    return (error.strerror or "cannot be read").lower()
