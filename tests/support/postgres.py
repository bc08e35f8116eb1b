"""A private PostgreSQL server on a Unix socket, in a temporary folder, and a new database for each test."""

import itertools
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import orphans, proc

USER = "postgres"  # the server refuses to run as root; Debian's package makes this user
# Nothing here must survive a power failure, so no test waits for the disk.
OPTIONS = ("fsync=off", "full_page_writes=off", "listen_addresses=", "max_connections=50", "shared_buffers=32MB")


class Postgres(proc.Daemon):
    """One server in `folder`."""

    def __init__(self, folder: Path, programs: Path) -> None:
        orphans.note_folder(folder)
        self.folder = folder
        self._programs = programs
        self._numbers = itertools.count()
        options = [part for option in OPTIONS for part in ("-c", option)]
        argv = [*_as_user(), str(programs / "postgres"), "-D", str(folder / "data"), "-k", str(folder), *options]
        super().__init__(argv, folder / "postgres.log")

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        super().start()
        self.wait_until(self.listens)

    def stop(self, grace: float = proc.PATIENCE) -> int:
        """Stop it without waiting for its clients."""
        if self.returncode() is None:
            self.send_signal(signal.SIGINT)
        return super().stop(grace)

    def listens(self) -> bool:
        ready = [str(self._programs / "pg_isready"), "--quiet", "--host", str(self.folder)]
        return subprocess.run(ready, check=False).returncode == 0

    def new_database(self, like: str = "") -> str:
        """Create a database, empty or as a copy of the one with the URL `like`. Returns its URL."""
        name = f"test{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {_name(like) if like else 'template0'} STRATEGY file_copy")
        return self.url(name)

    def drop(self, url: str) -> None:
        self.run(f"DROP DATABASE {_name(url)} WITH (FORCE)")

    def url(self, name: str) -> str:
        return f"postgresql://{USER}@/{name}?host={self.folder}"

    def run(self, sql: str, database: str = "postgres") -> str:
        """Run SQL as the superuser. Returns what it prints."""
        argv = [str(self._programs / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", str(self.folder), "-U", USER]
        return subprocess.run([*argv, "-c", sql, database], check=True, capture_output=True, text=True).stdout


@contextmanager
def running() -> Iterator[Postgres]:
    """Run a server for the block; skip the test if the system has none."""
    proc.require_root()
    programs = _programs()
    proc.require(programs, "postgres is missing: apt-get install postgresql")
    assert programs is not None
    folder = Path(tempfile.mkdtemp(prefix="tk-", dir="/tmp"))
    try:
        shutil.chown(folder, USER)
        initdb = [str(programs / "initdb"), "--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]
        subprocess.run([*_as_user(), *initdb, "-D", str(folder / "data")], check=True, capture_output=True, cwd=folder)
        server = Postgres(folder, programs)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def _name(url: str) -> str:
    return url.partition("@/")[2].partition("?")[0]


def _programs() -> Path | None:
    """The folder of the newest server's programs, where Debian keeps them; None without a server or its user."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: float(path.parts[-3]))
    try:
        pwd.getpwnam(USER)
    except KeyError:
        return None
    return found[-1].parent if found else None


def _as_user() -> list[str]:
    # It replaces itself by the server, so that the server's PID is known.
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups"]
