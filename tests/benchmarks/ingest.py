"""`python -m tests.benchmarks.ingest`: a burst of events, and a cold start, beside a bare reader of the same messages.

All hosts are simulated. Each run has its own broker, simulator and reader, as processes that share the machine.
"""

import argparse
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support import monitor, mosquitto, proc
from tests.support.fleet_simulator import Fleet, Simulator
from tests.support.monitor import Monitor

TUNED = ("max_inflight_messages 1000",)  # and a long queue, which the brokers of all tests have
DEFAULT = ("max_queued_messages 1000", "set_tcp_nodelay false")  # as mosquitto 2.0 has them without a configuration
# The monitor without the pauses in reading, to show what they are for.
UNPAUSED = (
    sys.executable,
    "-c",
    "import sys; sys.argv[0] = 'torchkeeper'\n"
    "from agent.adapters.mqtt import collector_client as client\n"
    "client.MOST_WAITING = client.MOST_WAITING_BYTES = 10**12\n"
    "from agent.cli import main; main()",
)
VARIANTS: tuple[tuple[str, Sequence[str], Sequence[str]], ...] = (
    ("tuned broker", TUNED, ()),
    ("default broker", DEFAULT, ()),
    ("tuned, without pauses", TUNED, UNPAUSED),
    ("default, without pauses", DEFAULT, UNPAUSED),
)
POLL = 0.1  # seconds
ASK_EVERY = 0.5  # seconds
LIMIT = 900.0  # seconds for one run


@dataclass(frozen=True, slots=True)
class Burst:
    """What became of a burst. `seconds`: from the first stored event to the last one."""

    stored: int
    rows: int
    seconds: float
    cpu: float  # seconds of CPU time in that time
    peak_mb: float
    duplicates: int

    def __str__(self) -> str:
        rate = self.stored / self.seconds
        return (
            f"{self.stored} events stored, {self.rows} rows, {rate:,.0f}/s,"
            f" {1e6 * self.cpu / self.stored:.0f} us of CPU an event, {self.duplicates} came again,"
            f" {self.peak_mb:.0f} MB at most"
        )


def measure_bursts(hosts: int, events: int) -> Iterator[str]:
    """A burst into a tuned broker and into a default one; with and without pauses in reading."""
    count = hosts * events
    seconds, cpu = _bare_burst(TUNED, hosts, events)
    yield f"burst of {count} events of {hosts} simulated hosts"
    yield f"bare reader (floor)                 {count / seconds:,.0f}/s, {1e6 * cpu / count:.0f} us of CPU an event"
    for name, extra, command in VARIANTS:
        found = _burst(extra, hosts, events, command)
        wrong = "" if (found.stored, found.rows) == (count, count // 2) else "  WRONG: not all, or some twice"
        ratio = seconds / found.seconds
        yield f"{name:<35} {found}, {ratio:.2f} x the rate of the floor{wrong}"


def measure_cold_start(hosts: int) -> Iterator[str]:
    """From an empty database to all hosts on the page, and to all their images, from what the broker retains."""
    with mosquitto.running(extra=TUNED) as broker, tempfile.TemporaryDirectory() as folder:
        fleet = Fleet.make(hosts)
        simulator = Simulator(fleet, broker.port)
        simulator.publish(fleet.births())
        simulator.flush(LIMIT)
        simulator.close()
        bare, bare_cpu = _read_bare(broker.port, "torchkeeper/v1/hosts/+/+", 3 * hosts, lambda: None)
        size = len(fleet.inventory(fleet.hosts[0]).payload)
        yield f"cold start from {3 * hosts} retained messages, each inventory of {size} bytes"
        yield f"bare reader (floor)                 {bare:.1f} s, {bare_cpu:.1f} s of CPU, from its first message"
        running = Monitor(broker.url, Path(folder))
        began = time.monotonic()
        running.start()
        try:
            images = hosts * fleet.images
            _wait(lambda: _shown(running) == (hosts, images))
            yield _line("all hosts on the page", time.monotonic() - began, running, (bare, bare_cpu))
            _wait(lambda: _is_complete(running))
            assert _count(running, "SELECT count(*) FROM host_images") == images
            yield _line(f"{images} images stored", time.monotonic() - began, running, (bare, bare_cpu))
        finally:
            running.stop()


def _shown(running: Monitor) -> tuple[int, int]:
    """How many hosts are online on the page, and how many images they have."""
    time.sleep(ASK_EVERY)  # the answer costs the monitor some milliseconds
    totals = running.get("/api/hosts?limit=1").get("totals", {})
    return totals.get("hosts", {}).get("online", 0), totals.get("images", 0)


def _is_complete(running: Monitor) -> bool:
    time.sleep(ASK_EVERY)
    return running.get("/healthz").get("incomplete_hosts") == 0


def _line(what: str, seconds: float, running: Monitor, floor: tuple[float, float]) -> str:
    cpu = _cpu(running)
    return (
        f"{what:<35} {seconds:.1f} s after the monitor's start, {seconds / floor[0]:.2f} x the floor;"
        f" {cpu:.1f} s of CPU, {cpu / floor[1]:.2f} x; {_peak_mb(running):.0f} MB at most"
    )


def _burst(extra: Sequence[str], hosts: int, events: int, command: Sequence[str]) -> Burst:
    with (
        mosquitto.running(extra=extra) as broker,
        tempfile.TemporaryDirectory() as folder,
        monitor.running(broker.url, Path(folder), command=command) as running,
        _simulating(broker.port, hosts, events),
    ):
        stored = "SELECT coalesce(sum(contiguous), 0) FROM streams"
        _wait(lambda: _count(running, stored) > 0)
        began, used, already = time.monotonic(), _cpu(running), _count(running, stored)
        _wait(lambda: _count(running, stored) >= hosts * events)
        whole = hosts * events / (hosts * events - already)
        seconds, cpu = (time.monotonic() - began) * whole, (_cpu(running) - used) * whole
        return Burst(
            stored=_count(running, stored),
            rows=_count(running, "SELECT count(*) FROM decisions WHERE outcome = 'removed'"),
            seconds=seconds,
            cpu=cpu,
            peak_mb=_peak_mb(running),
            duplicates=_metric(running, "torchkeeper_duplicates_total"),
        )


def _bare_burst(extra: Sequence[str], hosts: int, events: int) -> tuple[float, float]:
    """Seconds, and seconds of CPU time, in which a bare reader gets the same burst."""
    with mosquitto.running(extra=extra) as broker:

        def begin() -> None:
            argv = _simulator(broker.port, hosts, events, "--unconfirmed")
            processes.append(subprocess.Popen(argv, cwd=proc.ROOT))

        processes: list[subprocess.Popen[bytes]] = []
        found = _read_bare(broker.port, "torchkeeper/v1/hosts/+/events", hosts * events, begin)
        for process in processes:
            process.wait(LIMIT)
    return found


def _read_bare(port: int, topic: str, count: int, begin: Callable[[], None]) -> tuple[float, float]:
    argv = [sys.executable, "-m", "tests.benchmarks.bare_reader", str(port), topic, str(count)]
    with subprocess.Popen(argv, cwd=proc.ROOT, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
        begin()
        seconds, cpu = reader.stdout.readline().split()
        return float(seconds), float(cpu)


@contextmanager
def _simulating(port: int, hosts: int, events: int) -> Iterator[None]:
    with subprocess.Popen(_simulator(port, hosts, events), cwd=proc.ROOT, stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def _simulator(port: int, hosts: int, events: int, *more: str) -> list[str]:
    options = {"--port": port, "--hosts": hosts, "--events": events, "--seconds": LIMIT}
    values = [text for name, value in options.items() for text in (name, str(value))]
    return [sys.executable, "-m", "tests.support.fleet_simulator", "--quiet", *values, *more]


def _wait(ready: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {LIMIT} s")
        time.sleep(POLL)


def _count(running: Monitor, query: str) -> int:
    with closing(sqlite3.connect(f"file:{running.database}?mode=ro", timeout=30, uri=True)) as db:
        return int(db.execute(query).fetchone()[0])


def _peak_mb(running: Monitor) -> float:
    """The most memory that its process has had."""
    lines = Path(f"/proc/{running.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000


def _cpu(running: Monitor) -> float:
    times = psutil.Process(running.pid).cpu_times()
    return float(times.user + times.system)


def _metric(running: Monitor, name: str) -> int:
    lines = running.text("/metrics").splitlines()
    return next((int(float(line.split()[1])) for line in lines if line.startswith(f"{name} ")), 0)


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m tests.benchmarks.ingest", description=__doc__)
    options.add_argument("--hosts", type=int, default=1000, help="of the burst (1000)")
    options.add_argument("--events", type=int, default=100, help="of each of them (100)")
    options.add_argument("--cold", type=int, default=10_000, help="hosts of the cold start (10000; 0: none)")
    given = options.parse_args()
    if given.events:
        for line in measure_bursts(given.hosts, given.events):
            print(line, flush=True)
    if given.cold:
        for line in measure_cold_start(given.cold):
            print(line, flush=True)


if __name__ == "__main__":
    main()
