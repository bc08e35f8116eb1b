"""What the agent costs its host: resident memory, idle CPU, CPU in a storm of exec calls."""

import time
from pathlib import Path

import psutil

from tests.support import dockerd, images, proc

IDLE = 20.0  # seconds looked at
EXECS = 60  # 180 events, of the kind that a health check makes


def measure(engine: dockerd.Dockerd, folder: Path) -> list[str]:
    config = proc.write_config(
        folder / "c.toml",
        agent={"state_dir": str(folder / "run"), "host": "bench"},
        docker={"url": f"unix://{engine.socket}"},
    )
    box = images.run(engine, "bench/pytorch:1", "sleep", "600", detach=True)
    with proc.agent(folder=folder, config=config, forked=False) as agent:
        proc.eventually(lambda: "watching the engine" in agent.output(), timeout=30)
        time.sleep(3)  # the first inventory is made
        process = psutil.Process(agent.pid)
        idle = _cpu_over(process, lambda: time.sleep(IDLE))
        storm = _cpu_over(process, lambda: _storm(engine, box))
        memory = process.memory_info().rss / 1e6
        floor = _bare_python_memory()
    engine.docker("rm", "-f", box)
    return [
        f"resident, with 155 images           {memory:.1f} MB, {memory / floor:.1f} x a bare python ({floor:.1f} MB)",
        f"CPU at rest                         {100 * idle / IDLE:.3f} % of a core",
        f"CPU of {3 * EXECS} exec events             {1000 * abs(storm):.0f} ms",
    ]


def _cpu_over(process: psutil.Process, work: object) -> float:
    before = process.cpu_times()
    work()  # type: ignore[operator]
    after = process.cpu_times()
    return float(after.user + after.system - before.user - before.system)


def _storm(engine: dockerd.Dockerd, box: str) -> None:
    for _ in range(EXECS):
        engine.docker("exec", box, "true")


def _bare_python_memory() -> float:
    import subprocess
    import sys

    code = "import psutil; print(psutil.Process().memory_info().rss)"
    return int(subprocess.check_output([sys.executable, "-c", code])) / 1e6
