"""Where one layer of an image has a `torch/version.py`, and what it says.

The walk is bounded in depth, entries and time. Whatever could not be read is said: then the layer may have a torch.
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
DEPTH = 32  # folders, one in the other
CANDIDATES = 64  # version files of one layer
# What installers keep to install from is no installed torch: the caches of pip and uv, and `pkgs` of a conda.
CACHE, CONDA_PACKAGES, CONDA = ".cache", "pkgs", "conda-meta"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of a layer is read at the most."""

    entries: int = 1_000_000  # of one layer; the largest public images have some 300,000 in all
    folders: int = 50_000  # in one folder


@dataclass(slots=True)
class Layer:
    """What one layer has. `doubt`: why it may have more; "": it was read to its end."""

    torches: dict[str, Torch] = field(default_factory=dict)  # path inside the image -> its content
    doubt: str = ""
    late: bool = False  # it was not read to its end for lack of time, which another time may be enough


class _BoundError(Exception):
    """A bound of the walk was reached; the message says which."""


class _LateError(_BoundError):
    pass


def read(root: str, until: float, *, now: Callable[[], float] = time.monotonic, bounds: Bounds = Bounds()) -> Layer:
    """Walk one layer, until a time at the latest. Never raises for anything that the layer has."""
    walk = _Walk(until, now, bounds)
    try:
        walk.check_time()
        with files.folder(root) as descriptor:
            walk.descend(descriptor, "", 0)
    except _BoundError as bound:
        walk.doubt("", str(bound))
        walk.layer.late = isinstance(bound, _LateError)
    except OSError as error:
        walk.doubt("", said(error))
    return walk.layer


class _Walk:
    def __init__(self, until: float, now: Callable[[], float], bounds: Bounds) -> None:
        self.layer = Layer()
        self._now = now
        self._until = until
        self._bounds = bounds
        self._entries = 0

    def doubt(self, path: str, why: str) -> None:
        self.layer.doubt = self.layer.doubt or (f"{path}: {why}" if path else why)

    def descend(self, descriptor: int, path: str, depth: int) -> None:
        """Raises _BoundError, OSError."""
        folders, has_torch = self._list(descriptor)
        in_packages = path.rpartition("/")[2] in PACKAGES
        if has_torch:
            self._read_torch(descriptor, path, in_packages=in_packages)
        if in_packages:
            return  # it has thousands of folders, and Python finds no torch in one of them
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
                    self.doubt(path, "was renamed without a copy of what it has")
                self.descend(descriptor, path, depth)
        except OSError as error:
            self.doubt(path, said(error))

    def _list(self, descriptor: int) -> tuple[list[str], bool]:
        """The folders in a folder, sorted, and whether anything in it is called torch. Raises _BoundError, OSError."""
        folders, has_torch = [], False
        with os.scandir(descriptor) as entries:
            for entry in entries:
                self._count()
                has_torch = has_torch or entry.name == "torch"
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                if len(folders) > self._bounds.folders:
                    raise _BoundError(f"a folder has more than {self._bounds.folders} folders")
        return sorted(folders), has_torch

    def _count(self) -> None:
        self._entries += 1
        if self._entries > self._bounds.entries:
            raise _BoundError(f"it has more than {self._bounds.entries} entries")
        if self._entries % 256 == 0:
            self.check_time()

    def check_time(self) -> None:
        if self._now() > self._until:
            raise _LateError("the time for the image was over before it was read")

    def _read_torch(self, at: int, path: str, *, in_packages: bool) -> None:
        """Note the torch here, if it is one. Elsewhere than among packages its file must be as torch's build writes it.

        A link among packages may lead to a torch; anything else that is called so is a program, or a removal's mark.
        """
        place = f"{path}/torch"
        found = files.kind("torch", at)
        if found == stat.S_IFDIR:
            self._note(f"{place}/version.py", _said_in(at), in_packages=in_packages)
        elif found == stat.S_IFLNK and in_packages:
            self.doubt(place, "is a link, which is not followed")

    def _note(self, path: str, text: "str | OSError | None", *, in_packages: bool) -> None:
        if isinstance(text, OSError):
            self.doubt(path, said(text))
        elif text is not None:
            torch = version_file.parse(text)
            if torch is not None and (in_packages or torch.generated):
                self._add(path, torch)
            elif in_packages:
                self.doubt(path, "says no version")

    def _add(self, path: str, torch: Torch) -> None:
        if len(self.layer.torches) >= CANDIDATES:
            raise _BoundError(f"it has more than {CANDIDATES} files torch/version.py")
        self.layer.torches[path] = torch


def _is_cache(name: str, beside: Sequence[str]) -> bool:
    return name == CACHE or (name == CONDA_PACKAGES and CONDA in beside)


def _said_in(at: int) -> "str | OSError | None":
    """The beginning of `torch/version.py`, or why it cannot be read; None where there is none, or a removal's mark."""
    try:
        with files.folder("torch", at) as torch:
            if not files.kind("version.py", torch) or files.is_whiteout("version.py", torch):
                return None
            return files.beginning("version.py", torch, version_file.MOST_BYTES)
    except OSError as error:
        return error


def said(error: OSError) -> str:
    """An error in words, without the host's own folder."""
    return (error.strerror or "cannot be read").lower()
