"""`python -m tests.fuzz [--seconds 60] [TARGET...]`: every target, or some, one after the other.

Exit code 1 where an input is found that a target does not take; it is saved, and its file named.
"""

import argparse
import importlib.util
import re
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

from tests.fuzz.targets import TARGETS

WORKER = ("-m", "tests.fuzz.worker")
FOUND = Path(".cache/fuzz")  # where inputs are saved that a target does not take
TELL_EVERY = 10.0  # seconds
SLOWEST = 20  # seconds for one input; more is a find
MOST_MEMORY = 2048  # megabytes
LONGEST = 20_000  # bytes of an input
SHOWN = 40  # last lines of a fuzzer that found something
ABSENT = "fuzz: NOTHING WAS FUZZED: atheris is not installed here; it has wheels for CPython on Linux on x86-64 only"


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    options.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    options.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    given = options.parse_args()
    if unknown := sorted(set(given.targets) - set(TARGETS)):
        options.error(f"no target {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    if not has_fuzzer():
        print(ABSENT, file=sys.stderr)
        return 0
    failed = [name for name in given.targets or TARGETS if not fuzz(name, given.seconds)]
    print(f"fuzz: found something in {', '.join(failed)}" if failed else "fuzz: nothing found", flush=True)
    return 1 if failed else 0


def has_fuzzer() -> bool:
    return importlib.util.find_spec("atheris") is not None


def fuzz(name: str, seconds: int) -> bool:
    """Fuzz one target; False where it found something."""
    FOUND.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(TARGETS[name].seeds):
            Path(folder, str(number)).write_bytes(seed)
        limits = [f"-max_total_time={seconds}", f"-timeout={SLOWEST}", f"-rss_limit_mb={MOST_MEMORY}"]
        artifacts = f"-artifact_prefix={FOUND / name}-"
        argv = [sys.executable, *WORKER, name, *limits, f"-max_len={LONGEST}", artifacts, folder]
        code, runs, last = _follow(name, argv)
    if code == 0:
        print(f"fuzz: {name}: {runs:,} inputs, nothing found", flush=True)
        return True
    print("\n".join(last), flush=True)
    saved = [line.rpartition(" ")[2] for line in last if "Test unit written to" in line]
    where = f"the input is in {saved[-1]}" if saved else f"it ended with {code}"
    print(f"fuzz: {name}: FOUND SOMETHING after {runs:,} inputs; {where}", flush=True)
    return False


def _follow(name: str, argv: list[str]) -> tuple[int, int, list[str]]:
    """Run a fuzzer, and tell now and then how far it is: its exit code, the number of inputs, its last lines."""
    began = reported = time.monotonic()
    runs, last = 0, deque[str](maxlen=SHOWN)
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as fuzzer:
        assert fuzzer.stdout is not None
        for line in fuzzer.stdout:
            last.append(line.rstrip("\n"))
            if match := re.match(r"#([0-9]+)\s|Done ([0-9]+) runs", line):
                runs = int(match[1] or match[2])
            if time.monotonic() - reported > TELL_EVERY:
                reported = time.monotonic()
                print(f"fuzz: {name}: {reported - began:.0f} s, {runs:,} inputs", flush=True)
    return fuzzer.returncode, runs, list(last)


if __name__ == "__main__":
    sys.exit(main())
