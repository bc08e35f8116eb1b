"""Starts a command: `torchkeeper`, and `python -m agent`."""

import sys


def main() -> None:
    """Run a command. Ctrl-C ends it quietly, also while its libraries are still being loaded."""
    try:
        from agent import cli

        cli.main()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
