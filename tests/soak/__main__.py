"""`python -m tests.soak [--seconds 600] [--images 500]`: exit code 1 if the agent has grown."""

import argparse
import sys

from tests.soak import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--images", type=int, default=500)
    options = parser.parse_args()
    samples = run.soak(options.seconds, options.images, lambda line: print(line, flush=True))
    faults = run.growth(samples)
    print("\n".join(faults) if faults else "memory, descriptors and threads did not grow")
    return 1 if faults else 0


sys.exit(main())
