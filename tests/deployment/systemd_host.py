"""A small Debian in a container, with systemd as its first process and the units of config/systemd installed."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydantic

import agent
from tests.deployment.files import CONFIG, fetched
from tests.support import dockerd, proc

NAME, IMAGE = "systemd-host", "systemd-host:test"
PROGRAM = """\
#!/opt/torchkeeper/bin/python
from agent.cli import main
main()
"""
# What an administrator does, as docs/systemd.md has it; only the program comes from the tree that is tested.
INSTALL = """\
set -e
python3 -m venv --without-pip /opt/torchkeeper
printf '/srv/tree\\n/srv/packages\\n' >/opt/torchkeeper/lib/python3.11/site-packages/tests.pth
cp /srv/program /opt/torchkeeper/bin/torchkeeper
cp /srv/config/systemd/*.service /etc/systemd/system/
install -D -m 644 /srv/config/systemd/torchkeeper.sysusers.conf /usr/lib/sysusers.d/torchkeeper.conf
install -D -m 644 /srv/config/systemd/torchkeeper.tmpfiles.conf /usr/lib/tmpfiles.d/torchkeeper.conf
systemd-sysusers
systemd-tmpfiles --create torchkeeper.conf
chgrp docker /run/docker.sock
systemctl daemon-reload
"""


class SystemdHost:
    """The container. `run` runs a command in it."""

    def __init__(self, engine: dockerd.Dockerd) -> None:
        self._engine = engine

    def run(self, *command: str) -> str:
        """What a command prints. Raises AssertionError, with its message, if it fails."""
        return self._engine.docker("exec", NAME, *command)

    def try_run(self, *command: str) -> subprocess.CompletedProcess[bytes]:
        return self._engine._cli(("exec", NAME, *command))

    def write(self, path: str, content: str) -> None:
        """Write a file, and its folder if there is none."""
        self.run("sh", "-c", 'mkdir -p "$(dirname "$1")" && printf %s "$2" >"$1"', "sh", path, content)

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """Properties of a unit, as systemd has them."""
        lines = self.run("systemctl", "show", unit, *(f"--property={name}" for name in properties)).splitlines()
        return dict(line.split("=", 1) for line in lines)

    def pid(self, unit: str) -> int:
        return int(self.show(unit, "MainPID")["MainPID"])

    def status_of(self, pid: int) -> dict[str, str]:
        """/proc/PID/status."""
        lines = self.run("cat", f"/proc/{pid}/status").splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def journal(self, unit: str) -> str:
        return self.run("journalctl", "--no-pager", "--output=cat", f"--unit={unit}")

    def wait_for(self, unit: str, text: str) -> None:
        """Wait until the unit has logged a text."""
        try:
            proc.eventually(lambda: text in self.journal(unit))
        except AssertionError as error:
            state = self.try_run("systemctl", "status", "--no-pager", unit).stdout.decode()
            raise AssertionError(f"{error}\n{self.journal(unit)[-3000:]}\n{state}") from None


@contextmanager
def running(folder: Path) -> Iterator[SystemdHost]:
    """Run it for the block, on an engine of its own, which is also the engine that the agent in it looks after."""
    program = folder / "program"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    with dockerd.running() as engine:
        engine.docker("import", "--change", f"CMD {json.dumps(['/sbin/init'])}", str(fetched("systemd")), IMAGE)
        mounts = {
            engine.socket: "/run/docker.sock",
            Path(agent.__file__).parents[1]: "/srv/tree:ro",
            Path(pydantic.__file__).parents[1]: "/srv/packages:ro",
            program: "/srv/program:ro",
            CONFIG: "/srv/config:ro",
        }
        engine.docker(
            "run", "--detach", f"--name={NAME}", "--network=none", "--env=container=docker", *_like_a_machine(),
            *(f"--volume={source}:{target}" for source, target in mounts.items()), IMAGE, *_first_process(),
        )  # fmt: skip
        host = SystemdHost(engine)
        try:
            proc.eventually(lambda: host.try_run("systemctl", "is-system-running").stdout.strip() == b"running")
            host.run("sh", "-c", INSTALL)
            yield host
        finally:
            engine.docker("rm", "--force", NAME)


def _like_a_machine() -> list[str]:
    """What systemd needs in a container: to mount, and a tree of control groups that is not that of the machine."""
    options = ["--cap-add=SYS_ADMIN", "--security-opt=seccomp=unconfined", "--security-opt=apparmor=unconfined"]
    options += ["--tmpfs=/run", "--tmpfs=/run/lock", "--tmpfs=/tmp"]
    if _has_one_tree():
        return [*options, "--cgroupns=private"]
    # A folder of its own, because systemd also changes the one in which the trees are mounted.
    own = "--tmpfs=/sys/fs/cgroup"
    return [*options, "--cgroupns=host", own, "--volume=/sys/fs/cgroup/systemd:/sys/fs/cgroup/systemd"]


def _first_process() -> list[str]:
    """Version 2 of control groups is read-only in a container, also where it may mount."""
    return ["sh", "-c", "mount -o remount,rw /sys/fs/cgroup && exec /sbin/init"] if _has_one_tree() else []


def _has_one_tree() -> bool:
    """Whether the machine has version 2 of control groups."""
    return Path("/sys/fs/cgroup/cgroup.controllers").exists()
