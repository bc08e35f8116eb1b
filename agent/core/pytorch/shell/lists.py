"""Follow lists of commands, with `;`, `&`, `&&` and `||`."""

from agent.core.pytorch.shell import tree
from agent.core.pytorch.shell.interpreter import Interpreter
from agent.core.pytorch.shell.outcome import CHAINED, TESTED, Outcome
from agent.core.pytorch.shell.state import State, join


def sequence(run: Interpreter, node: tree.Sequence, state: State, context: int) -> Outcome:
    now: State | None = state
    outcome: Outcome = (state, None)
    for at, (item, is_background) in enumerate(node.items):
        if now is not None and is_background:
            is_awaited = at + 1 < len(node.items) and _awaits(node.items[at + 1][0])
            outcome = (
                run.in_subshell(item, now, context)
                if is_awaited
                else (join(now, *run.in_subshell(item, now, TESTED)), None)
            )
        elif not (at and node.items[at - 1][1] and _awaits(item)):
            outcome = run.node(item, now, context)
        now = join(*outcome)
    return outcome


def _awaits(node: tree.Node) -> bool:
    """Whether a command is `wait $!`, which has the status of the last background command."""
    return isinstance(node, tree.Command) and node.words in (("wait", "$!"), ("wait", '"$!"'))


def substitutions(run: Interpreter, node: tree.Substitutions, state: State, context: int) -> Outcome:
    return run.substituted(node.programs, state), None


def chain(run: Interpreter, node: tree.Chain, state: State, context: int) -> Outcome:
    operators = [operator for operator, _ in node.rest]
    if any(isinstance(part, tree.Command) and part.words[:1] in (("break",), ("return",)) for _, part in node.rest):
        context = TESTED  # `for ...; do pip install x && break; done` tries until it works
    last_or = max((at for at, operator in enumerate(operators) if operator == "||"), default=-1)

    def context_of(place: int) -> int:
        return TESTED if context == TESTED or place <= last_or else CHAINED if place < len(operators) else context

    success, failure = run.node(node.first, state, context_of(0))
    for place, (operator, part) in enumerate(node.rest, start=1):
        if operator == "&&":
            success, failed = run.node(part, success, context_of(place))
            failure = join(failure, failed)
        else:
            succeeded, failure = run.node(part, failure, context_of(place))
            success = join(success, succeeded)
    return success, failure


def subshell(run: Interpreter, node: tree.Subshell, state: State, context: int) -> Outcome:
    return run.in_subshell(node.body, state, context)
