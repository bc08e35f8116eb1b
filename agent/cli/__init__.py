"""The command line: parse, one call, print, exit code."""

import os
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
    completion,
    config,
    demo,
    explain,
    fleet,
    history,
    images,
    lint,
    monitor,
    output,
    pause,
    pins,
    plan,
    restore,
    run,
    sweep,
)
from agent.cli.common import CommandError, UsageError
from agent.cli.help import Command, Group
from agent.config.settings import ConfigError
from agent.core import text

app = typer.Typer(
    name="torchkeeper",
    cls=Group,
    help="Removes idle PyTorch images from a Docker host by when they were last used, and says why.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_COMMANDS: tuple[Callable[..., None], ...] = (  # in the order of the help: what people look for comes first
    plan.plan,
    explain.explain,
    pins.pin,
    pins.unpin,
    pins.pins,
    images.images,
    history.history,
    restore.restore,
    pause.pause,
    pause.resume,
    sweep.sweep,
    lint.lint,
    check.check,
    config.config,
    run.run,
    demo.demo,
    monitor.monitor,
)
for command in _COMMANDS:
    app.command(cls=Command)(command)
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
    output.prepare()
    if completion.is_asked(os.environ):
        sys.exit(completion.answer(lambda: app(prog_name="torchkeeper")))
    try:
        try:
            _run()
        finally:
            output.finish()
    except output.OutputFailed as error:
        output.discard()
        _stop(str(error), 1)
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        output.discard()
        sys.exit(1)


def _run() -> None:
    try:
        app(prog_name="torchkeeper")
    except (ConfigError, UsageError) as error:
        _stop(str(error), 2)
    except PermissionDenied as error:
        _stop(f"{error}; run as root or as a member of the socket's group", 1)
    except EngineError as error:
        _stop(f"{error}; `torchkeeper check` shows what to do", 1)
    except (CommandError, StateError, StateBusy, StateElsewhere, OverridesUnreadable) as error:
        _stop(str(error), 1)
    except OSError as error:
        if "--install-completion" not in sys.argv:
            raise
        _stop(f"the completion cannot be installed: {error}; put the output of --show-completion where it can be", 1)
    except KeyboardInterrupt:
        sys.exit(130)


def _stop(message: str, code: int) -> None:
    print(f"torchkeeper: {text.clean(message)}", file=sys.stderr)
    sys.exit(code)
