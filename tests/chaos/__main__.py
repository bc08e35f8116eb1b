"""`python -m tests.chaos --seconds 600 --seed 7`: a longer run, as many races as a thousand takes, and a cluster."""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.chaos import cluster, races, run
from tests.support import dockerd

RACES = 1000


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    options.add_argument("--seconds", type=float, default=600.0, help="how long parts are killed (600; 0: not at all)")
    options.add_argument("--seed", type=int, default=1, help="of all that is random (1)")
    options.add_argument("--races", type=int, default=RACES, help=f"creates that race a removal ({RACES}; 0: none)")
    options.add_argument(
        "--clusters", type=int, default=3, help="runs in which a node of a cluster is killed (3; 0: none)"
    )
    given = options.parse_args()
    faults: list[str] = []
    if given.seconds:
        found = asyncio.run(run.run(given.seconds, given.seed))
        print(f"seed {given.seed}: {found}", flush=True)
        faults += found.faults
    if given.races:
        for raced in _race(given.races, given.seed):
            print(raced, flush=True)
            faults += raced.faults
    for number in range(given.clusters):
        killed = asyncio.run(cluster.kill_a_node(given.seed + number))
        print(killed, flush=True)
        faults += killed.faults
    print("\n".join(faults), file=sys.stderr)
    return 1 if faults else 0


def _race(rounds: int, seed: int) -> Iterator[races.Races]:
    with dockerd.running() as engine, tempfile.TemporaryDirectory() as folder:
        yield asyncio.run(races.race_removals(engine, rounds=rounds, seed=seed))
        yield asyncio.run(races.race_evictions(engine, Path(folder), rounds=rounds, seed=seed))


if __name__ == "__main__":
    sys.exit(main())
