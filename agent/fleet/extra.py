"""The packages of the extra `monitor`, which a host without a monitor does not have."""

import sys
from importlib.util import find_spec

PACKAGES = ("aiohttp_sse", "aiosqlite", "alembic", "sqlalchemy")
INSTALL = "pip install 'torchkeeper[monitor]'"


def is_installed() -> bool:
    """Whether all packages are here that `torchkeeper monitor` needs. None of them is imported."""
    return all(find_spec(name) is not None for name in PACKAGES)


def how_to_install() -> str:
    """What to run to get them. The program of the Debian package cannot be extended."""
    if getattr(sys, "frozen", False):
        return f"packages that the Debian package does not contain; in an environment of its own: {INSTALL}"
    return INSTALL
