"""In the installed package this is the module `torchkeeper`: the command, and `python -m torchkeeper`.

PyPI has another package `agent`, and Python searches PYTHONPATH and, with `-m`, the working directory before installed
packages. So the command imports the package `agent` that is beside this file, and no other.
"""

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

FOLDER = Path(__file__).parent
INSTALL_AGAIN = "install torchkeeper into an environment of its own: pipx install torchkeeper"


def main() -> None:
    """Run the command line. Without its own package beside this file it ends with one sentence and exit code 1."""
    if not _import_package():
        sys.exit(
            f"torchkeeper: its package `agent` is not in {FOLDER}, or another package replaced it; {INSTALL_AGAIN}"
        )
    from agent.__main__ import main as run

    run()


def _import_package() -> bool:
    """Import the package beside this file, whatever comes first on the path. False if it is not there or not ours."""
    spec = PathFinder.find_spec("agent", [str(FOLDER)])
    if (
        spec is None
        or spec.loader is None
        or PathFinder.find_spec("cli", spec.submodule_search_locations or []) is None
    ):
        return False
    package = module_from_spec(spec)
    sys.modules["agent"] = package
    spec.loader.exec_module(package)
    return True


if __name__ == "__main__":
    main()
