"""The help of each command: plain text, with two examples; and "did you mean" for commands and options.

typer's own help shows a flag as `--json <bool>` and an argument as `{IMAGE}`, which people read as things to type.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand, TyperGroup

from agent.cli.examples import EXAMPLES

if TYPE_CHECKING:
    _Command = TyperCommand
else:
    _Command = object


class _Plain(_Command):
    """Shared by commands and groups."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        params = self.get_params(ctx)
        arguments = [(str(param.metavar or param.name), _help(param)) for param in params if _is_argument(param)]
        options = [record for param in params if not _is_argument(param) and (record := _record(param, ctx))]
        _write(formatter, "Arguments", arguments)
        _write(formatter, "Options", options)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        examples = EXAMPLES.get(_path(ctx), ())
        if examples:
            formatter.write("\nExamples:\n")
            for line, meaning in examples:
                formatter.write(f"  torchkeeper {line}\n      {meaning}\n")

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            near = getattr(error, "possibilities", None)
            if near:
                error.message = f"{error.message}. Did you mean {near[0]}?"  # type: ignore[attr-defined]
                error.possibilities = None  # type: ignore[attr-defined]
            raise


class Command(_Plain, TyperCommand):
    """A command with plain help."""


class Group(_Plain, TyperGroup):
    """A group of commands with plain help."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        rows = [(name, _first_sentence(self.commands[name].help or "")) for name in self.list_commands(ctx)]
        _write(formatter, "Commands", rows)
        super().format_options(ctx, formatter)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] == "version" and "version" not in self.commands and ctx.parent is None:
            ctx.fail(f"No such command 'version'. Did you mean '{ctx.info_name} --version'?")
        return super().resolve_command(ctx, args)


def _is_argument(param: Any) -> bool:
    return bool(param.param_type_name == "argument")


def _path(ctx: Any) -> str:
    """The command as it is typed after the program's name: `fleet status`; "" for the program."""
    return f"{_path(ctx.parent)} {ctx.info_name}".strip() if ctx.parent is not None else ""


def _record(param: Any, ctx: Any) -> tuple[str, str] | None:
    """An option and its help, with a default in words as it is: typer puts it into parentheses."""
    record = param.get_help_record(ctx)
    return record and (record[0], re.sub(r"\[default: \((.*)\)\]", r"[default: \1]", record[1]))


def _help(param: Any) -> str:
    return (param.help or "") + ("" if param.required else " [optional]")


def _first_sentence(text: str) -> str:
    paragraph = " ".join(text.split("\n\n", maxsplit=1)[0].split())
    return paragraph.partition(". ")[0].rstrip(".")


def _write(formatter: Any, title: str, rows: Sequence[tuple[str, str]]) -> None:
    if rows:
        with formatter.section(title):
            formatter.write_dl(rows)
