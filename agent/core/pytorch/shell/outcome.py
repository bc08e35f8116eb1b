"""How a command can end: the state after success and the state after failure. None means that it cannot end so."""

from dataclasses import replace

from agent.core.pytorch.shell.state import State

Outcome = tuple[State | None, State | None]

# The context of a command decides whether it may have failed.
# PLAIN (`a; b`): work did not fail, because people would have noticed; and `set -e` ends the program at a failure.
# CHAINED (`a` in `a && b`): the same, but `set -e` has no effect. TESTED (`a || b`, `if a`): both ends are possible.
PLAIN, CHAINED, TESTED = range(3)


def of_result(result: bool | None, state: State, context: int) -> Outcome:
    """The outcome of a test with this result; None: unknown."""
    if result is None:
        return (state, None) if context == PLAIN and state.is_strict else (state, state)
    return (state, None) if result else (None, state)


def by_bash(result: bool | None, state: State) -> bool | None:
    """The result of a test that only bash supports. Unless the shell is bash, a true result is unknown: dash fails."""
    return result if state.is_bash or result is False else None


def only_facts(state: State | None, outer: State) -> State | None:
    """The outer state with the facts of the inner one."""
    return None if state is None else outer.with_facts(state.facts)


def of_work(success: State, state: State, context: int) -> Outcome:
    """The outcome of work whose failure people would have noticed. `success` is the state after success."""
    return (success, None) if context != TESTED and not state.is_lax else (success, state)


def without_values(state: State | None, inner: State, outer: State) -> State | None:
    """The state without the variables that were set for one command only (`A=1 command`)."""
    if state is None or state is inner:
        return None if state is None else outer.with_facts(state.facts)
    kept = {name: value for name, value in state.values.items() if inner.values.get(name) != value}
    return replace(state, values={**outer.values, **kept}, exported=outer.exported | (state.exported - inner.exported))
