"""Builds the Debian package around a folder of PyInstaller, or around a script that takes its place."""

import shutil
import subprocess
from pathlib import Path

from tests.support.proc import ROOT

UNITS = ROOT / "config/systemd"
PROXY = ROOT / "config/proxy/haproxy.cfg"
FAKE = """#!/bin/sh
echo "# completion ${_TORCHKEEPER_COMPLETE#source_}"
"""
UNIT = "[Service]\nExecStart=/opt/torchkeeper/bin/torchkeeper run\nUser=torchkeeper\n"
SYSUSERS = 'g torchkeeper -\nu torchkeeper -:torchkeeper "torchkeeper agent" /var/lib/torchkeeper\n'


def fake_program(folder: Path) -> Path:
    """A program that prints its completions and nothing else, and a file that is linked with glibc."""
    (folder / "torchkeeper").mkdir(parents=True)
    script = folder / "torchkeeper/torchkeeper"
    script.write_text(FAKE)
    script.chmod(0o755)
    shutil.copy("/bin/true", script.with_name("true"))
    return script.parent


def build(program: Path, folder: Path) -> Path:
    """The package around `program`, with this tree's units and proxy, or small ones if it has none."""
    done = subprocess.run(
        [ROOT / ".ci/deb", "--program", program, "--output", folder, "--fast", *_parts(folder / "parts")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def _parts(folder: Path) -> list[str]:
    options = []
    folder.mkdir(parents=True)
    if not UNITS.exists():
        for name in ("torchkeeper.service", "torchkeeper-proxy.service"):
            (folder / name).write_text(UNIT)
        (folder / "torchkeeper.sysusers.conf").write_text(SYSUSERS)
        (folder / "torchkeeper.tmpfiles.conf").write_text("d /var/lib/torchkeeper 2750 torchkeeper torchkeeper -\n")
        options += ["--units", str(folder)]
    if not PROXY.exists():
        (folder / "haproxy.cfg").write_text("global\n")
        options += ["--proxy", str(folder / "haproxy.cfg")]
    return options
