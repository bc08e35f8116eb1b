"""The command line of a private engine, which runs beside others and changes nothing outside its folder."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from agent.demo.errors import DemoError


def require() -> None:
    """Raise DemoError if a private engine cannot be started here."""
    way_out = "or give an engine you may use: torchkeeper demo --engine unix:///var/run/docker.sock"
    if shutil.which("dockerd") is None:
        raise DemoError(f"no dockerd on the PATH for a private engine: apt-get install docker.io, {way_out}")
    if os.geteuid() != 0:
        raise DemoError(f"a private engine needs root: sudo torchkeeper demo, {way_out}")


def env(outer: Mapping[str, str], folder: Path) -> Mapping[str, str]:
    """Its environment. TMPDIR is the folder, as a slow containerd writes stack dumps to the temporary folder."""
    return {**outer, "TMPDIR": str(folder)}


def argv(folder: Path) -> list[str]:
    """Its arguments: no bridge, no firewall rules, and no folder or socket shared with another engine."""
    program = str(shutil.which("dockerd"))
    usage = subprocess.run([program, "--help"], capture_output=True, check=False, timeout=10).stdout  # noqa: S603
    settings = folder / "daemon.json"
    settings.write_text("{}")  # instead of /etc/docker/daemon.json
    return [
        program,
        "--bridge=none",
        "--iptables=false",
        *(["--ip6tables=false"] if b"--ip6tables" in usage else []),  # not on every version
        "--ip-forward=false",
        "--ip-masq=false",
        f"--config-file={settings}",
        f"--data-root={folder}/data",
        f"--exec-root={folder}/exec",
        f"--pidfile={folder}/docker.pid",
        f"--host=unix://{folder}/docker.sock",
    ]
