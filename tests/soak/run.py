"""Runs an agent on an engine with many images, starts containers all the time, and looks at what the agent uses."""

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support import dockerd, images, mosquitto, proc

EVERY = 10.0  # seconds between two samples
SETTLED = 1 / 3  # the first part of the time, in which caches fill, does not count
MOST_GROWTH_MB = 4.0  # of the median of the last third over that of the second


@dataclass(frozen=True, slots=True)
class Sample:
    """What the agent used at one time."""

    memory_mb: float
    descriptors: int
    threads: int
    events: int  # containers that had run until then


def soak(seconds: float, count: int, report: Callable[[str], None]) -> list[Sample]:
    """Samples of an agent with [http] and a broker, over `seconds` of runs, tags and untags on `count` images."""
    with dockerd.running() as engine, mosquitto.running() as broker, tempfile.TemporaryDirectory() as folder:
        names = images.load_many(engine, "soak/pytorch", count)
        report(f"{count} images; {seconds:.0f} s of churn")
        config = proc.write_config(
            Path(folder) / "c.toml",
            agent={"state_dir": f"{folder}/state", "host": "soak"},
            docker={"url": engine.url},
            mqtt={"url": broker.url},
            http={"listen": f"127.0.0.1:{mosquitto.free_port()}"},
        )
        with proc.agent(folder=Path(folder), config=config, forked=False) as agent:
            proc.eventually(lambda: "watching the engine" in agent.output(), timeout=120)
            return _churn(engine, names, psutil.Process(agent.pid), seconds, report)


def _churn(
    engine: dockerd.Dockerd, names: Sequence[str], agent: psutil.Process, seconds: float, report: Callable[[str], None]
) -> list[Sample]:
    samples: list[Sample] = []
    began = time.monotonic()
    for number, name in enumerate(itertools.cycle(names)):
        engine.docker("run", "--rm", "--network=none", name)
        engine.docker("tag", name, "soak/moving:latest")
        passed = time.monotonic() - began
        if passed >= EVERY * (len(samples) + 1):
            samples.append(_sample(agent, number + 1))
            report(f"{passed:6.0f} s  {samples[-1]}")
        if passed >= seconds:
            return samples
    raise AssertionError("there is no image")


def _sample(agent: psutil.Process, events: int) -> Sample:
    return Sample(round(agent.memory_info().rss / 1e6, 1), agent.num_fds(), agent.num_threads(), events)


def growth(samples: Sequence[Sample]) -> list[str]:
    """What has grown from the second third of the samples to the last, in words."""
    later = samples[int(len(samples) * SETTLED) :]
    half = len(later) // 2
    faults = []
    for field, most in (("memory_mb", MOST_GROWTH_MB), ("descriptors", 0), ("threads", 0)):
        before, after = (
            statistics.median(getattr(item, field) for item in part) for part in (later[:half], later[half:])
        )
        if after - before > most:
            faults.append(f"{field} has grown from {before} to {after}")
    return faults
