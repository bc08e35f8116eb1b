"""torchkeeper: evicts idle PyTorch images from a Docker host, and says why."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("torchkeeper")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+source"
