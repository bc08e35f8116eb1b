"""Choose how to follow a command by its first word. The words already have their values."""

from agent.core.pytorch.shell import builtins, calls, conditions, effects, installers, tree
from agent.core.pytorch.shell.command_names import PRINTERS, SHELLS, WORKERS, unwrapped
from agent.core.pytorch.shell.interpreter import Interpreter
from agent.core.pytorch.shell.outcome import Outcome, by_bash, of_result, of_work
from agent.core.pytorch.shell.state import State
from agent.core.pytorch.shell.unknown import unknown


def run_command(run: Interpreter, words: list[str], node: tree.Command, state: State, context: int) -> Outcome:
    """The outcome of a command whose words have their values."""
    run.spend(1)
    name = words[0]
    base = name.rpartition("/")[2]
    if name in state.functions:
        return calls.call(run, name, words, state, context)
    if base in PRINTERS:
        named = words[2:3] if words[1:2] == ["-v"] else []
        return state.with_values({name: unknown(f"${name}") for name in named}), None
    if name in ("[", "test"):
        result = conditions.test(words[1:-1] if name == "[" else words[1:])
        return of_result(by_bash(result, state) if "==" in words else result, state, context)
    if (builtin := builtins.BUILTINS.get(name)) is not None:
        return builtin(run, words, state, context)
    if base in SHELLS or base in ("su", "runuser"):
        return calls.shell(run, base, words, node, state, context)
    if base in installers.CONDAS and words[1:2] == ["activate"]:
        return builtins.source(run, words, state, context)
    return _program(run, base, words, node, state, context)


def _program(run: Interpreter, base: str, words: list[str], node: tree.Command, state: State, context: int) -> Outcome:
    inner = unwrapped(words)
    if inner is not None:
        return calls.wrapped(run, words, inner, node, state, context)
    if effects.matters(words[0]):
        return _work(run, words, state, context)
    if base in WORKERS:
        return of_work(state, state, context)
    return calls.unknown_command(run, words, state, context)


def _work(run: Interpreter, words: list[str], state: State, context: int) -> Outcome:
    command = installers.RanCommand(words, run.explicit_values(state), state.folder)
    known, is_work = effects.after(command, state.facts)
    success = state.with_facts(known)
    if is_work:
        return of_work(success, state, context)
    return calls.unknown_command(run, words, success, context)
