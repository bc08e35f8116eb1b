"""The command line: parse, one call, print, exit code."""

import sys
from collections.abc import Callable

import typer

from agent.adapters.engine import EngineError, PermissionDenied
from agent.adapters.lock import StateBusy
from agent.adapters.overrides import OverridesUnreadable
from agent.adapters.sqlite.state_dir import StateElsewhere
from agent.adapters.state_errors import StateError
from agent.cli import (
    check,
    config,
    demo,
    explain,
    fleet,
    history,
    images,
    lint,
    monitor,
    pause,
    pins,
    plan,
    restore,
    run,
    sweep,
)
from agent.cli.common import CommandError, UsageError
from agent.config.settings import ConfigError
from agent.core import text

app = typer.Typer(
    name="torchkeeper",
    help="Evicts idle PyTorch images from a Docker host by when they were last used, and says why.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)

_COMMANDS: tuple[Callable[..., None], ...] = (
    run.run,
    plan.plan,
    sweep.sweep,
    images.images,
    explain.explain,
    history.history,
    restore.restore,
    pins.pin,
    pins.unpin,
    pins.pins,
    pause.pause,
    pause.resume,
    lint.lint,
    check.check,
    config.config,
    demo.demo,
    monitor.monitor,
)
for command in _COMMANDS:
    app.command()(command)
app.add_typer(fleet.app, name="fleet")


@app.callback(invoke_without_command=True)
def _version(
    version: bool = typer.Option(False, "--version", help="Print the version and exit.", is_eager=True),
) -> None:
    if version:
        from agent import __version__

        typer.echo(f"torchkeeper {__version__}")
        raise typer.Exit


def main() -> None:
    """Run a command. What a user can cause ends in one sentence and an exit code, never in a traceback."""
    try:
        app()
    except (ConfigError, UsageError) as error:
        _stop(str(error), 2)
    except PermissionDenied as error:
        _stop(f"{error}; run as root or as a member of the socket's group", 1)
    except EngineError as error:
        _stop(f"{error}; `torchkeeper check` tells what to do", 1)
    except (CommandError, StateError, StateBusy, StateElsewhere, OverridesUnreadable) as error:
        _stop(str(error), 1)
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        sys.stderr.close()
        sys.exit(1)


def _stop(message: str, code: int) -> None:
    print(f"torchkeeper: {text.clean(message)}", file=sys.stderr)
    sys.exit(code)
