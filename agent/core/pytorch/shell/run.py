"""Follow a shell program as a shell would, with the known values, to find out which commands certainly ran.

Each command has an outcome: the state after success and the state after failure; None means that it cannot end so. A
test with an unknown result has both states. After two branches join, only facts that are true in both are certain
(`state.join`). If the layer of a build's line exists, the line succeeded, so nothing happened that would have made it
fail.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from agent.core.pytorch.shell import commands, compound, lists, pipelines, simple, tree
from agent.core.pytorch.shell.facts import Facts
from agent.core.pytorch.shell.facts import join as join_facts
from agent.core.pytorch.shell.interpreter import Interpreter, TooLongError
from agent.core.pytorch.shell.outcome import PLAIN, Outcome
from agent.core.pytorch.shell.parse import LONGEST, parse
from agent.core.pytorch.shell.state import State
from agent.core.pytorch.shell.unknown import clean
from agent.core.pytorch.shell.words import UnreadableError

STEPS = 10_000  # for all programs of one image; one step takes 1 to 3 microseconds
_LINE_STEPS = 6_000  # for one line, so that a hostile line leaves steps for the others


_NODES: Mapping[type, Callable[..., Outcome]] = {
    tree.Command: simple.simple,
    tree.Substitutions: lists.substitutions,
    tree.Test: compound.test,
    tree.Pipeline: pipelines.pipeline,
    tree.Chain: lists.chain,
    tree.Sequence: lists.sequence,
    tree.Subshell: lists.subshell,
    tree.If: compound.if_,
    tree.Case: compound.case,
    tree.For: compound.for_,
    tree.While: compound.while_,
    tree.Function: compound.define,
}


class Runner:
    """Follows the programs of one image, with a limited number of steps for all of them."""

    def __init__(self, steps: int = STEPS) -> None:
        self._left = steps

    def run(self, program: str, state: State, outside: Callable[[str], str | None]) -> Facts:
        """The facts after a build's line has succeeded. Raises UnreadableError and TooLongError.

        `outside` returns the value of a variable that the program does not set; None if it is not set.
        """
        room = min(self._left, _LINE_STEPS)
        interpreter = Interpreter(room, outside, _NODES, commands.run_command)
        try:
            return _follow(interpreter, program, state)
        finally:
            self._left -= room - max(interpreter.room, 0)


def _follow(run: Interpreter, program: str, state: State) -> Facts:
    if len(program) > LONGEST:
        raise TooLongError
    run.spend(1 + len(program) // 3)  # parsing three characters takes as long as one step
    parsed = parse(clean(program))
    if "$?" in program or _swallows_failure(parsed):
        state = replace(state, is_lax=True)
    try:
        success, failure = run.scope(parsed, state, PLAIN)
        success = _at_exit(run, success)
    except RecursionError:
        raise UnreadableError("nested too deeply") from None
    if success is not None:
        return success.facts
    # The program seems to fail, but its layer exists, so it succeeded in a way that is not known here.
    return join_facts(state.facts, failure.facts.doubtful() if failure is not None else state.facts)


def _at_exit(run: Interpreter, success: State | None) -> State | None:
    """The state after the programs of `trap ... EXIT`."""
    for program, functions in run.at_exit[:10]:
        if success is not None:
            success = success.with_facts(run.after_possible_run(program, replace(success, functions=functions)))
    return success


def _swallows_failure(parsed: tree.Sequence) -> bool:
    """Whether a program ends like `pip install x; true`. Its author expects a failure."""
    last = parsed.items[-1][0] if parsed.items else None
    return isinstance(last, tree.Command) and last.words in (("true",), (":",), ("exit", "0"))
