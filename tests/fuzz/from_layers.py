"""What the layers of an image hold, and where an engine says that they are."""

from agent.adapters.docker import layer_folders
from agent.adapters.docker.json_values import UNREADABLE
from agent.core.model import Class, Verdict
from agent.core.pytorch import guesses, layer_probe, version_file
from tests.fuzz import from_engine, outcome

VERSION_FILES = (
    b"from typing import Optional\n\n__version__ = '2.5.1+cu124'\ncuda: Optional[str] = '12.4'\nhip = None\n",
    b"__version__ = '1.13.1'\ncuda = '11.7'\ngit_version = '49444c3e546bf240bed24a101e747422d1f8a0ee'\n",
    b"__version__ = '2.5.1+rocm6.2'\nhip: Optional[str] = '6.2.41133-dd7f95766'\n",
)
FOLDERS = (
    b'{"GraphDriver": {"Data": {"UpperDir": "/d/b/diff", "LowerDir": "/d/a/diff"}}, "RootFS": {"Layers": ["1", "2"]}}',
    b'{"GraphDriver": {"Data": {"UpperDir": "/d/../etc"}}, "RootFS": {"Layers": ["1"]}}',
)


def version_file_of_torch(data: bytes) -> None:
    """A version that can be shown and stored, or nothing. So is a path that an image has."""
    said = data.decode(errors="replace")
    torch = version_file.parse(said)
    if torch is not None:
        assert torch.version.isascii()
        assert torch.version.isprintable()
        from_engine.store(torch.version, torch.accelerator)
        path = data.decode(errors="surrogateescape")
        look = layer_probe.found({path: (1, torch)})
        settled = layer_probe.apply(Verdict(kind=Class.PYTORCH), look, lifts=False)
        assert settled.evidence[0].text.isprintable()
        from_engine.store(look.path, settled.evidence[0].text)


def folders(data: bytes) -> None:
    """Folders below the engine's own, or none, or one of UNREADABLE."""
    found, _ = outcome.of(lambda: layer_folders.parse(from_engine.json_object(data), "/d"), *UNREADABLE)
    assert all(folder.startswith("/d/") and "/../" not in folder for folder in found or ())


def guessed(data: bytes) -> None:
    """Whatever its variables say, few plain paths are asked for."""
    said = data.decode(errors="replace")
    paths = guesses.paths({"PATH": said, "VIRTUAL_ENV": said, "CONDA_PREFIX": said}, said)
    assert 0 < len(paths) <= guesses.MOST
    assert all(path.startswith("/") and path.isprintable() and "/../" not in path for path in paths)
