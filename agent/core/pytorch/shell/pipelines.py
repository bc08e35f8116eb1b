"""Follow pipelines: `a | b`, and `! a`."""

import re

from agent.core.pytorch.shell import effects, installers, tree
from agent.core.pytorch.shell.command_names import SHELLS
from agent.core.pytorch.shell.interpreter import Interpreter
from agent.core.pytorch.shell.outcome import CHAINED, TESTED, Outcome, of_result
from agent.core.pytorch.shell.state import State, join

_RUNS_RM = re.compile(r"(?<![\w-])(?:rm|mv)(?!\w)")


def pipeline(run: Interpreter, node: tree.Pipeline, state: State, context: int) -> Outcome:
    if len(node.parts) == 1:
        success, failure = run.node(node.parts[0], state, TESTED)
        return failure, success
    now: State | None = state
    failed: State | None = None
    is_well = True
    for part in node.parts[:-1]:
        if now is not None:
            done, wrong = run.in_subshell(part, now, TESTED if context == TESTED else CHAINED)
            is_well, failed, now = is_well and done is not None, join(failed, wrong), join(done, wrong)
    if now is None:
        return None, None
    after_deletion = _after_find_and_xargs(run, node, now)
    if after_deletion is not None:
        return of_result(None, after_deletion, context)
    if text := _piped_program(run, node, now):
        now = now.with_facts(run.after_possible_run(text, now))
    success, failure = run.in_subshell(node.parts[-1], now, TESTED if node.is_negated else context)
    if state.is_piped_strictly and failed is not None:
        success, failure = (success, join(failure, success)) if is_well else (None, join(success, failure))
    return (failure, success) if node.is_negated else (success, failure)


def _after_find_and_xargs(run: Interpreter, node: tree.Pipeline, state: State) -> State | None:
    """The state after `find ... | xargs rm`, which is followed like `find ... -delete`; None for other pipelines."""
    first, last = node.parts[0], node.parts[-1]
    if not (isinstance(first, tree.Command) and isinstance(last, tree.Command)):
        return None
    if "xargs" not in last.words[:3] or not any(_RUNS_RM.search(word) for word in last.words):
        return None
    words = ["find", *run.fields(first.words, state)[1:], "-delete"]
    command = installers.RanCommand(words, run.explicit_values(state), state.folder)
    return state.with_facts(effects.after(command, state.facts)[0])


def _piped_program(run: Interpreter, node: tree.Pipeline, state: State) -> str:
    """The known part of the program that `echo ... | sh` runs; "" if there is none."""
    first, last = node.parts[0], node.parts[-1]
    if not (isinstance(first, tree.Command) and isinstance(last, tree.Command) and last.words):
        return ""
    words = [word.rpartition("/")[2] for word in last.words]
    if not any(word in SHELLS for word in words[:3]):
        return ""
    return first.input or " ".join(run.fields(first.words[1:], state))
