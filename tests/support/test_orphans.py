"""A run that is killed has no time to clear up: its keeper does."""

import sys
from pathlib import Path

import pytest

from tests.support import dockerd, proc

RUN = """
import sys, time
from pathlib import Path
from tests.support import dockerd, images, proc
alone = [sys.executable, "-c", "import time; time.sleep(600)", sys.argv[1] + "/alone"]
proc.Daemon(alone, Path(sys.argv[1], "alone.log")).start()
with dockerd.running() as engine:
    images.import_image(engine, "base:1")
    images.run(engine, "base:1", "sleep", "600", detach=True)
    print(engine.folder, flush=True)
    time.sleep(600)
"""


@pytest.mark.real
def test_a_killed_run_leaves_no_daemon_no_container_no_mount_and_no_folder(tmp_path: Path) -> None:
    proc.require_root()
    proc.require_program("dockerd", "docker.io")
    run = proc.Daemon([sys.executable, "-c", RUN, str(tmp_path)], tmp_path / "log", {"PYTHONPATH": str(proc.ROOT)})
    run.start()
    run.wait_until(lambda: run.output().endswith("\n"))
    folder = Path(run.output().strip())
    assert len(dockerd.processes_of(tmp_path)) == 1
    assert len(dockerd.processes_of(folder)) >= 4  # dockerd, containerd, the shim, the container
    run.kill()
    proc.eventually(lambda: not folder.exists())
    assert (dockerd.processes_of(tmp_path), dockerd.processes_of(folder)) == ([], [])
    assert dockerd.mounts_under(folder) == []
