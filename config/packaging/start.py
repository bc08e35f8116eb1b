"""Where the program of the Debian package starts."""

import os

# PyInstaller's loader sets this for the libraries of the program, which are loaded by it in any case. The programs that
# it starts, such as Docker's credential helpers, must get the libraries of the system.
before = os.environ.pop("LD_LIBRARY_PATH_ORIG", None)
os.environ.pop("LD_LIBRARY_PATH", None)
if before is not None:
    os.environ["LD_LIBRARY_PATH"] = before

from agent.cli import main  # noqa: E402 - only now the environment is right

main()
