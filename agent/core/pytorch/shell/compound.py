"""Follow tests, conditions, loops and function definitions."""

from dataclasses import replace

from agent.core.pytorch.shell import conditions, patterns, tree
from agent.core.pytorch.shell.interpreter import Interpreter
from agent.core.pytorch.shell.outcome import TESTED, Outcome, by_bash, of_result
from agent.core.pytorch.shell.state import State, join
from agent.core.pytorch.shell.tree import Node
from agent.core.pytorch.shell.unknown import is_known, unknown

_WORDS = 30  # words of a `for`: its body is followed at most this many times


def test(run: Interpreter, node: tree.Test, state: State, context: int) -> Outcome:
    return of_result(by_bash(conditions.extended_test(node.words, run.look_up(state)), state), state, context)


def if_(run: Interpreter, node: tree.If, state: State, context: int) -> Outcome:
    success: State | None = None
    failure: State | None = None
    now: State | None = state
    for condition, body in node.branches:
        met, now = run.node(condition, now, TESTED)
        done, failed = run.node(body, met, context)
        success, failure = join(success, done), join(failure, failed)
    done, failed = (now, None) if node.otherwise is None else run.node(node.otherwise, now, context)
    return join(success, done), join(failure, failed)


def case(run: Interpreter, node: tree.Case, state: State, context: int) -> Outcome:
    word = run.value(node.word, state)
    success: State | None = None
    failure: State | None = None
    is_over, falls = False, False
    done: State | None = None
    failed: State | None = None
    for wanted, body, end in node.items:
        run.spend(len(wanted))
        answers = [patterns.matches(word, run.value(pattern, state)) for pattern in wanted]
        answer = True if falls or True in answers else None if None in answers else False
        if answer is False:
            continue
        done, failed = run.node(body, join(done, failed) if falls else state, context)
        falls = end == ";&" and answer is True
        if not falls:
            success, failure = join(success, done), join(failure, failed)
        is_over = answer is True and end not in (";&", ";;&")
        if is_over:
            break
    if falls:
        return join(success, done), join(failure, failed)
    return (success if is_over else join(success, state)), failure


def for_(run: Interpreter, node: tree.For, state: State, context: int) -> Outcome:
    words = None if node.words is None else run.fields(node.words, state)
    is_clear = words is not None and len(words) <= _WORDS
    is_clear = is_clear and all(is_known(word) and not set("*?[{") & set(word) for word in words or ())
    run.loops.append([])
    outcome: Outcome = (state, None)
    if is_clear:
        now: State | None = state
        for word in words or ():
            outcome = run.node(node.body, None if now is None else now.with_values({node.name: word}), context)
            now = join(*outcome)
    else:
        is_from_program = any(not is_known(word) and "$(...)" in word for word in words or ())
        named = unknown("$(...)" if is_from_program else f"${node.name}")
        after = _repeated(run, node.body, state.with_values({node.name: named}), context)
        outcome = (join(state, after), None)
    return join(outcome[0], *run.loops.pop()), outcome[1]


def _repeated(run: Interpreter, body: Node, state: State, context: int) -> State | None:
    """The state after a loop body has run an unknown number of times."""
    now: State | None = state
    for _ in range(2):
        now = join(now, *run.node(body, now, context))
    return now


def while_(run: Interpreter, node: tree.While, state: State, context: int) -> Outcome:
    run.loops.append([])
    now: State | None = state
    ends: State | None = None
    for _ in range(2):
        met, unmet = run.node(node.condition, now, TESTED)
        met, unmet = (unmet, met) if node.is_until else (met, unmet)
        ends = join(ends, unmet)
        now = join(*run.node(node.body, met, context))
        if now is None:
            break
    return join(ends, *run.loops.pop()), None


def define(run: Interpreter, node: tree.Function, state: State, context: int) -> Outcome:
    """The outcome of a function's definition."""
    return replace(state, functions={**state.functions, node.name: node.body}), None
