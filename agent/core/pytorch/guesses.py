"""Guess the paths of torch in an image from its ENV and working directory.

If none of the paths exists, the image may still contain torch.
"""

from collections.abc import Iterator, Mapping

MOST = 300  # paths; each costs one request to the engine
LONGEST = 300  # characters of a folder
_VARIABLES = ("VIRTUAL_ENV", "CONDA_PREFIX", "UV_PROJECT_ENVIRONMENT")
_USUAL = ("/usr", "/usr/local", "/opt/conda", "/opt/venv", "/venv")
_PYTHONS = ("python3", *(f"python3.{minor}" for minor in range(14, 7, -1)))


def paths(env: Mapping[str, str], workdir: str) -> tuple[str, ...]:
    """The possible paths of `torch/version.py`, the most likely first; at most MOST."""
    folders = dict.fromkeys(folder for folder in _folders(env, workdir) if _is_plain(folder))
    candidates = (
        f"{folder}/lib/{python}/{packages}/torch/version.py"
        for folder in folders
        for python in _PYTHONS
        for packages in ("site-packages", "dist-packages")
    )
    return tuple(path for path, _ in zip(candidates, range(MOST), strict=False))


def _folders(env: Mapping[str, str], workdir: str) -> Iterator[str]:
    """Possible folders of Python environments: from ENV variables and PATH, and the usual ones."""
    base = workdir.rstrip("/")
    for name in _VARIABLES:
        folder = env.get(name, "").rstrip("/")
        yield folder if folder.startswith("/") or not folder else f"{base}/{folder}"
    for entry in env.get("PATH", "")[:10_000].split(":"):
        if entry.rstrip("/").endswith("/bin"):
            yield entry.rstrip("/").removesuffix("/bin")
    yield f"{base}/.venv"
    yield f"{base}/venv"
    yield from _USUAL


def _is_plain(folder: str) -> bool:
    proper = folder.startswith("/") and folder.isprintable() and len(folder) <= LONGEST
    return proper and not {".", ".."} & set(folder.split("/"))
