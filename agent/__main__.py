"""`python -m agent`: the same as the `torchkeeper` command."""

from agent.cli import main

if __name__ == "__main__":
    main()
