"""Pipelines: `a | b`, and `! a`."""

import re

from agent.core.pytorch.shell import effects, installers, tree
from agent.core.pytorch.shell.command_names import SHELLS
from agent.core.pytorch.shell.interpreter import Interpreter
from agent.core.pytorch.shell.outcome import CHAINED, TESTED, Outcome, of_result
from agent.core.pytorch.shell.state import State, join

_RUNS_RM = re.compile(r"(?<![\w-])(?:rm|mv)(?!\w)")


def pipeline(run: Interpreter, node: tree.Pipeline, state: State, context: int) -> Outcome:
    if len(node.parts) == 1:
        well, badly = run.node(node.parts[0], state, TESTED)
        return badly, well
    now: State | None = state
    failed: State | None = None
    is_well = True
    for part in node.parts[:-1]:
        if now is not None:
            done, wrong = run.apart(part, now, TESTED if context == TESTED else CHAINED)
            is_well, failed, now = is_well and done is not None, join(failed, wrong), join(done, wrong)
    if now is None:
        return None, None
    deleted = _deleted(run, node, now)
    if deleted is not None:
        return of_result(None, deleted, context)
    if text := _spoken(run, node, now):
        now = now.with_facts(run.perhaps(text, now))
    well, badly = run.apart(node.parts[-1], now, TESTED if node.is_negated else context)
    if state.is_piped_strictly and failed is not None:
        well, badly = (well, join(badly, well)) if is_well else (None, join(well, badly))
    return (badly, well) if node.is_negated else (well, badly)


def _deleted(run: Interpreter, node: tree.Pipeline, state: State) -> State | None:
    """`find ... | xargs rm` removes what `find ... -delete` does; None for any other pipeline."""
    first, last = node.parts[0], node.parts[-1]
    if not (isinstance(first, tree.Command) and isinstance(last, tree.Command)):
        return None
    if "xargs" not in last.words[:3] or not any(_RUNS_RM.search(word) for word in last.words):
        return None
    words = ["find", *run.fields(first.words, state)[1:], "-delete"]
    ran = installers.Ran(words, run.told(state), state.folder)
    return state.with_facts(effects.after(ran, state.facts)[0])


def _spoken(run: Interpreter, node: tree.Pipeline, state: State) -> str:
    """The program that `echo ... | sh` runs, as far as it is known; "" where none is."""
    first, last = node.parts[0], node.parts[-1]
    if not (isinstance(first, tree.Command) and isinstance(last, tree.Command) and last.words):
        return ""
    words = [word.rpartition("/")[2] for word in last.words]
    if not any(word in SHELLS for word in words[:3]):
        return ""
    return first.input or " ".join(run.fields(first.words[1:], state))
