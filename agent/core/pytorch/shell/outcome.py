"""How a command can end: the state after it ended well, and the state after it failed; None where that cannot be."""

from dataclasses import replace

from agent.core.pytorch.shell.state import State

Outcome = tuple[State | None, State | None]

# How a command's status counts. PLAIN: work that fails would have been seen, so it did not (`a; b`), and `set -e` ends
# the program. CHAINED: the same without `set -e` (`a` in `a && b`). TESTED: both are possible (`a || b`, `if a`).
PLAIN, CHAINED, TESTED = range(3)


def of_result(result: bool | None, state: State, context: int) -> Outcome:
    if result is None:
        return (state, None) if context == PLAIN and state.is_strict else (state, state)
    return (state, None) if result else (None, state)


def by_bash(result: bool | None, state: State) -> bool | None:
    """The result of what only bash knows: dash fails with it."""
    return result if state.is_bash or result is False else None


def only_facts(state: State | None, outer: State) -> State | None:
    return None if state is None else outer.with_facts(state.facts)


def settled(well: State, state: State, context: int) -> Outcome:
    """The outcome of work whose failing would have been seen."""
    return (well, None) if context != TESTED and not state.is_lax else (well, state)


def without_values(state: State | None, inner: State, outer: State) -> State | None:
    """The state without the values that were given to one command only."""
    if state is None or state is inner:
        return None if state is None else outer.with_facts(state.facts)
    kept = {name: value for name, value in state.values.items() if inner.values.get(name) != value}
    return replace(state, values={**outer.values, **kept}, exported=outer.exported | (state.exported - inner.exported))
