"""`python -m tests.built_images`: build every case with every builder, which takes many minutes, and write the record.

`python -m tests.built_images judge` only judges the record: each image without torch that is called pytorch, and each
that surely installs it and is not.
"""

import asyncio
import sys

from tests.built_images import building, judging, record
from tests.built_images.cases import CASES
from tests.support import engines


def main() -> None:
    if sys.argv[1:] != ["judge"]:
        record.write(asyncio.run(_build()))
    print(judging.report(record.read()))


async def _build() -> list[record.Recorded]:
    rows = []
    for builder, kind in building.ENGINES.items():
        chosen = {name: case for name, case in CASES.items() if builder in case.builders}
        with engines.running(kind) as engine:
            rows += await building.build_all(engine, builder, chosen)
    return rows


if __name__ == "__main__":
    main()
