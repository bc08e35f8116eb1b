"""Follows a shell program as a shell would, with the values that are known, and tells what surely ran.

Each command has two outcomes: the state after it ended well, and the state after it failed; None where that cannot be.
A test that cannot be known has both, and where two ways meet only what holds on both is sure (`state.join`).
A build's line whose layer exists ended well, so whatever would have made it fail did not happen.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from agent.core.pytorch.facts import Facts
from agent.core.pytorch.facts import join as join_facts
from agent.core.pytorch.shell import commands, compound, lists, pipelines, simple, tree
from agent.core.pytorch.shell.interpreter import Interpreter, TooLongError
from agent.core.pytorch.shell.outcome import PLAIN, Outcome
from agent.core.pytorch.shell.parse import LONGEST, parse
from agent.core.pytorch.shell.state import State
from agent.core.pytorch.shell.unknown import clean
from agent.core.pytorch.shell.words import UnreadableError

STEPS = 10_000  # of all programs of one image; one takes 1 to 3 microseconds
_LINE_STEPS = 6_000  # of one line, so that a hostile one leaves room for the others


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
    """Follows the programs of one image, up to a number of steps for all of them."""

    def __init__(self, steps: int = STEPS) -> None:
        self._left = steps

    def run(self, program: str, state: State, outside: Callable[[str], str | None]) -> Facts:
        """What is known once a line of a build has ended well. Raises UnreadableError and TooLongError."""
        room = min(self._left, _LINE_STEPS)
        interpreter = Interpreter(room, outside, _NODES, commands.run_command)
        try:
            return _follow(interpreter, program, state)
        finally:
            self._left -= room - max(interpreter.room, 0)


def _follow(run: Interpreter, program: str, state: State) -> Facts:
    if len(program) > LONGEST:
        raise TooLongError
    run.spend(1 + len(program) // 3)  # reading three characters takes as long as a step
    parsed = parse(clean(program))
    if "$?" in program or _swallows_failure(parsed):
        state = replace(state, is_lax=True)
    try:
        well, badly = run.scope(parsed, state, PLAIN)
        well = _at_exit(run, well)
    except RecursionError:
        raise UnreadableError("nested too deeply") from None
    if well is not None:
        return well.facts
    # By what is known it fails, and yet its layer exists: something of it is not known.
    return join_facts(state.facts, badly.facts.doubtful() if badly is not None else state.facts)


def _at_exit(run: Interpreter, well: State | None) -> State | None:
    for program, functions in run.at_exit[:10]:
        if well is not None:
            well = well.with_facts(run.perhaps(program, replace(well, functions=functions)))
    return well


def _swallows_failure(parsed: tree.Sequence) -> bool:
    """`pip install x; true`: whoever writes that expects a failure."""
    last = parsed.items[-1][0] if parsed.items else None
    return isinstance(last, tree.Command) and last.words in (("true",), (":",), ("exit", "0"))
