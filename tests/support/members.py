"""A system with the group `torchkeeper`, one member of it and one stranger, in a mount namespace of its own.

Nothing of the machine's own users and groups is changed: the namespace has other files at /etc/group and /etc/passwd.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import dockerd, forked_commands, orphans, proc

GROUP, DOCKER_GROUP = 64_900, 64_901  # of the namespace; no system uses such numbers


@dataclass(frozen=True, slots=True)
class Person:
    """A user of the namespace."""

    name: str
    uid: int
    groups: tuple[int, ...] = ()


ROOT = Person("root", 0)
ALICE = Person("alice", 64_911, (GROUP, DOCKER_GROUP))
CAROL = Person("carol", 64_913, (GROUP,))  # may not use Docker
MALLORY = Person("mallory", 64_912, (DOCKER_GROUP,))  # may use Docker only
PEOPLE = (ALICE, CAROL, MALLORY)


class System:
    """The namespace, with a folder that everybody may enter: it has the configuration and the state."""

    def __init__(self, folder: Path, holder: int) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.config = folder / "torchkeeper.toml"
        self._holder = holder  # the process that keeps the namespace

    def run(self, who: Person, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        """`torchkeeper` as a person; AssertionError where it ends in a traceback."""
        done = forked_commands.run(args, self._environment(who) | env, proc.COMMAND, self._user(who))
        assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
        return done

    def run_program(self, who: Person, *argv: str) -> subprocess.CompletedProcess[str]:
        """Any program as a person."""
        return subprocess.run(
            self._argv(who, argv),
            env=self._environment(who),
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            timeout=proc.COMMAND,
        )

    @contextmanager
    def agent(self, watching: str) -> Iterator[proc.Daemon]:
        """`torchkeeper run` as root, from when its log has the text `watching`."""
        log = self.folder / "run.log"
        before = self._log().count(watching)
        daemon = proc.Daemon(self._argv(ROOT, [*proc.command(), "run"]), log, self._environment(ROOT))
        daemon.start()
        try:
            daemon.wait_until(lambda: self._log().count(watching) > before)
            yield daemon
        finally:
            daemon.stop()
        assert "Traceback" not in daemon.output(), daemon.tail(60)

    def _log(self) -> str:
        log = self.folder / "run.log"
        return log.read_text() if log.exists() else ""

    def _user(self, who: Person) -> dict[str, object]:
        namespace = f"/proc/{self._holder}/ns/mnt"
        return {"namespace": namespace, "uid": who.uid, "groups": [who.uid, *who.groups]}

    def _argv(self, who: Person, argv: Sequence[str]) -> list[str]:
        enter = ["nsenter", f"--mount=/proc/{self._holder}/ns/mnt"]
        if who is ROOT:
            return [*enter, *argv]
        groups = ",".join(map(str, (who.uid, *who.groups)))
        become = ["setpriv", f"--reuid={who.uid}", f"--regid={who.uid}", f"--groups={groups}", "--bounding-set=-all"]
        return [*enter, *become, "--inh-caps=-all", *argv]

    def _environment(self, who: Person) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("TORCHKEEPER_", "DOCKER_", "SUDO_", "XDG_"))}
        home = str(self.folder / who.name)
        return clean | {"HOME": home, "TORCHKEEPER_CONFIG": str(self.config), "PYTHONDONTWRITEBYTECODE": "1"}


@contextmanager
def system(engine: dockerd.Dockerd) -> Iterator[System]:
    """Such a system for the block, with the engine's socket at `<folder>/docker.sock`, for the group of Docker."""
    proc.require_root()
    for program in ("unshare", "nsenter", "setpriv", "mount"):
        proc.require_program(program, "util-linux")
    folder = Path(tempfile.mkdtemp(prefix="tk-", dir="/tmp"))
    orphans.note_folder(folder)
    folder.chmod(0o755)
    holder = subprocess.Popen(
        ["unshare", "--mount", "--propagation=private", "sh", "-ec", _mounts(folder, engine.socket)],
        stdout=subprocess.PIPE,
        text=True,
    )
    orphans.note_process(holder.pid)
    before = engine.socket.stat()
    try:
        ready = holder.stdout.readline() if holder.stdout else ""
        proc.require(ready == "ready\n", "a mount namespace needs CAP_SYS_ADMIN")
        os.chown(engine.socket, 0, DOCKER_GROUP)
        engine.socket.chmod(0o660)
        yield System(folder, holder.pid)
    finally:
        os.chown(engine.socket, before.st_uid, before.st_gid)
        engine.socket.chmod(before.st_mode & 0o7777)
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
        shutil.rmtree(folder)


def _mounts(folder: Path, socket: Path) -> str:
    """The script that makes the namespace, says "ready", and keeps it."""
    users, groups = folder / "passwd", folder / "group"
    lines = [f"{who.name}:x:{who.uid}:{who.uid}::{folder / who.name}:/bin/sh" for who in PEOPLE]
    users.write_text("\n".join([Path("/etc/passwd").read_text().rstrip("\n"), *lines, ""]))
    member_names = ",".join(who.name for who in PEOPLE if GROUP in who.groups)
    lines = [f"torchkeeper:x:{GROUP}:{member_names}", *(f"{who.name}:x:{who.uid}:" for who in PEOPLE)]
    groups.write_text("\n".join([Path("/etc/group").read_text().rstrip("\n"), *lines, ""]))
    (folder / "docker.sock").touch()
    (folder / "kept").mkdir()
    for who in PEOPLE:
        (folder / who.name).mkdir(mode=0o700)
        os.chown(folder / who.name, who.uid, who.uid)
    return "\n".join(
        [
            f"mount --bind {users} /etc/passwd",
            f"mount --bind {groups} /etc/group",
            f"mount --bind {socket} {folder}/docker.sock",
            *_passages(folder / "kept"),
            "echo ready",
            "exec sleep infinity",
        ]
    )


def _passages(kept: Path) -> Iterator[str]:
    """Commands that let everybody enter the folders with Python and the package, if their parents are private."""
    needed = {Path(sys.base_prefix), Path(sys.prefix), proc.ROOT}
    for number, path in enumerate(sorted(path.resolve() for path in needed)):
        closed = [parent for parent in reversed(path.parents) if not parent.stat().st_mode & 0o001]
        if closed:
            place = kept / str(number)
            yield f"mkdir {place} && mount --bind {path} {place}"
            yield f"mountpoint -q {closed[0]} || mount -t tmpfs -o mode=755 tmpfs {closed[0]}"
            yield f"mkdir -p {path} && mount --bind {place} {path}"
