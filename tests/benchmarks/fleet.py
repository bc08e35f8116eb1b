"""`python -m tests.benchmarks.fleet`: all figures of the monitor and of `fleet status`, in one run and one table.

Each is a ratio to a floor of the same minute, and seconds of CPU time: other programs on the machine change how long
something takes, and less so what it costs. With ten thousand hosts it takes half an hour; `--hosts 1000` a few minutes.
"""

import argparse
from collections.abc import Callable, Iterable

from rich.console import Console
from rich.table import Table

from tests.benchmarks import fleet_status, history, ingest, page, viewers, what_if

BURST_HOSTS = 1000

Part = tuple[str, str, Callable[[], Iterable[str]]]  # what is measured, what it should be, and what measures it


def parts(hosts: int, events: int) -> tuple[Part, ...]:
    """`events`: of all hosts together."""
    burst_hosts = min(hosts, BURST_HOSTS)
    return (
        ("cold start", "page under 5 s or the floor, 160 MB", lambda: ingest.measure_cold_start(hosts)),
        (
            "burst",
            "0.7 x the floor, under 160 MB; above it without pauses",
            lambda: ingest.measure_bursts(burst_hosts, events // burst_hosts),
        ),
        ("fleet status", "5 s, 250 MB", lambda: fleet_status.measure(hosts)),
        ("viewers", "200 with 5 % of a core", viewers.measure),
        ("page", "ready in 1 s; no more late frames than blank + 1 %", page.measure),
        ("what-if", "0.5 s for 1.5 million images", lambda: what_if.measure(hosts)),
        ("commit", "", history.measure),
    )


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m tests.benchmarks.fleet", description=__doc__)
    options.add_argument("--hosts", type=int, default=10_000)
    options.add_argument("--events", type=int, default=100_000, help="of the burst (100000)")
    options.add_argument("--only", default="", help="names of parts, with commas between them")
    given = options.parse_args()
    only = [name.strip() for name in given.only.split(",") if name.strip()]
    table = Table("", "SHOULD BE", "MEASURED", box=None, pad_edge=False, expand=True, leading=1)
    for name, target, measure in parts(given.hosts, given.events):
        if only and name not in only:
            continue
        lines = []
        for line in measure():
            print(f"{name}: {line}", flush=True)
            lines.append(" ".join(line.split()))
        table.add_row(name, target, "\n".join(lines))
    Console(width=140, highlight=False).print("", table)


if __name__ == "__main__":
    main()
