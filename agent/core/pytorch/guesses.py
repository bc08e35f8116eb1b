"""Where a torch would be in an image, by what the image says of itself. Not to find one there proves nothing."""

from collections.abc import Iterator, Mapping

MOST = 300  # paths; each is a question to the engine
LONGEST = 300  # characters of a folder
_VARIABLES = ("VIRTUAL_ENV", "CONDA_PREFIX", "UV_PROJECT_ENVIRONMENT")
_USUAL = ("/usr", "/usr/local", "/opt/conda", "/opt/venv", "/venv")
_PYTHONS = ("python3", *(f"python3.{minor}" for minor in range(14, 7, -1)))


def paths(env: Mapping[str, str], workdir: str) -> tuple[str, ...]:
    """The paths of a `torch/version.py`, the likeliest first."""
    folders = dict.fromkeys(folder for folder in _folders(env, workdir) if _is_plain(folder))
    found = (
        f"{folder}/lib/{python}/{packages}/torch/version.py"
        for folder in folders
        for python in _PYTHONS
        for packages in ("site-packages", "dist-packages")
    )
    return tuple(path for path, _ in zip(found, range(MOST), strict=False))


def _folders(env: Mapping[str, str], workdir: str) -> Iterator[str]:
    """Environments of Python: those that are named, those whose programs are found, and the usual ones."""
    below = workdir.rstrip("/")
    for name in _VARIABLES:
        told = env.get(name, "").rstrip("/")
        yield told if told.startswith("/") or not told else f"{below}/{told}"
    for entry in env.get("PATH", "")[:10_000].split(":"):
        if entry.rstrip("/").endswith("/bin"):
            yield entry.rstrip("/").removesuffix("/bin")
    yield f"{below}/.venv"
    yield f"{below}/venv"
    yield from _USUAL


def _is_plain(folder: str) -> bool:
    proper = folder.startswith("/") and folder.isprintable() and len(folder) <= LONGEST
    return proper and not {".", ".."} & set(folder.split("/"))
