"""`python -m tests.recognition [CORPUS] [--unnamed] [--together] [--verbose]`: how many images are recognised.

Without a corpus it judges the project's own fixtures. Exit code 1 if an image without torch counts as PyTorch.
"""

import argparse
import sys
from pathlib import Path

from tests.recognition import corpus, tally


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.recognition", description=__doc__)
    options.add_argument("corpus", type=Path, nargs="?", help="a file of rows in JSON (the project's own fixtures)")
    options.add_argument("--unnamed", action="store_true", help="judge every image without its names")
    options.add_argument("--together", action="store_true", help="judge all as images of one host")
    options.add_argument("--verbose", action="store_true", help="list each image that was judged wrongly")
    given = options.parse_args()
    rows = corpus.read(given.corpus.read_text(encoding="utf-8").splitlines()) if given.corpus else corpus.fixtures()
    judged = tally.judge([corpus.unnamed(row) for row in rows] if given.unnamed else rows, together=given.together)
    for line in (*tally.lines(judged), *(tally.errors(judged) if given.verbose else ())):
        print(line, flush=True)
    return 1 if any(one.is_false for one in judged) else 0


sys.exit(main())
