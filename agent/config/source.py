"""Where a running agent reads its settings, and whether that has changed since."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from agent.config import loading
from agent.config.settings import ConfigError, Settings

Stamp = tuple[int, ...]


class SettingsSource:
    """The configuration file of one process. The environment and `--observe` override what it says, each time."""

    def __init__(
        self,
        given: Path | None,
        *,
        observe: bool = False,
        default: Path = loading.DEFAULT_FILE,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """`given`: of `--config`. `observe`: whether `--observe` was given."""
        self._given = given
        self._observe = observe
        self._default = default
        self._environ = environ
        self._path = given or Path(environ.get("TORCHKEEPER_CONFIG") or default)
        self._taken = self._seen = _stamp(self._path)
        self.file: Path | None = None  # the file that was read last; None: there was none, so the defaults apply

    def read(self) -> Settings:
        """The settings as they are now. Raises ConfigError.

        Once a file was read, it is an error if it is missing or empty: an accident must not bring the defaults back.
        """
        self._taken = self._seen = _stamp(self._path)  # before the read: a later change is then seen
        if self.file is not None:
            _refuse_accident(self.file)
        path = self.file or loading.find_file(self._given, self._environ, self._default)
        settings = loading.load(path, self._default)
        self.file = path
        if self._observe:
            settings = settings.model_copy(update={"agent": settings.agent.model_copy(update={"mode": "observe"})})
        return settings

    def has_changed(self) -> bool:
        """Whether the file differs from the one that was read last, and did not change between two calls in a row.

        So a file that is being written, or replaced by an editor, is not read half-way.
        """
        stamp = _stamp(self._path)
        stands, self._seen = stamp == self._seen, stamp
        return stands and stamp != self._taken


def _refuse_accident(path: Path) -> None:
    try:
        found = path.stat()
    except FileNotFoundError:
        raise ConfigError(f"{path}: is no longer there; bring it back") from None
    except OSError:
        return  # the read reports it
    if stat.S_ISREG(found.st_mode) and found.st_size == 0:
        raise ConfigError(f"{path}: is empty; write its keys again, or restart the agent to run with the defaults")
    if stat.S_ISFIFO(found.st_mode):
        raise ConfigError(f"{path}: is a pipe, which can be read only once; restart the agent to read another one")


def _stamp(path: Path) -> Stamp:
    """What changes with the file that a path leads to, whatever links are on the way; of an error its number.

    The time of the last change of the inode is part of it: an owner or a mode may be what made the file unreadable.
    """
    try:
        found = path.stat()
    except OSError as error:
        return (error.errno or 0,)
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        return ()  # a pipe or a device: its times say nothing about what is in it
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
