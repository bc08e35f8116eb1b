"""How long work takes."""

import statistics
import time
from collections.abc import Callable


def median(work: Callable[[], object], runs: int = 7) -> float:
    """Seconds of CPU, the median of several runs: a busy machine does not change them much."""
    times = []
    for _ in range(runs):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return statistics.median(times)
