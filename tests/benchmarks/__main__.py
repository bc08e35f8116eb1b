"""`python -m tests.benchmarks`: all figures, on a private engine with 155 images."""

import asyncio
import tempfile
from pathlib import Path

from tests.benchmarks import (
    fleet_status,
    footprint,
    history,
    latency,
    planning,
    recognition,
    viewers,
    what_if,
)
from tests.support import dockerd, images

IMAGES = 155  # as many as the peers were measured with


def main() -> None:
    with dockerd.running() as engine, tempfile.TemporaryDirectory() as folder:
        print(f"making {IMAGES} images ...", flush=True)
        for number in range(IMAGES):
            images.import_image(engine, f"bench/pytorch:{number}", env={"PYTORCH_VERSION": f"2.{number}"}, size_mb=0)
        (Path(folder) / "state").mkdir()
        for line in asyncio.run(latency.measure(engine, Path(folder))):
            print(line, flush=True)
        for line in footprint.measure(engine, Path(folder)):
            print(line, flush=True)
    for module in (planning, recognition, fleet_status, viewers, what_if, history):
        for line in module.measure():
            print(line, flush=True)


main()
