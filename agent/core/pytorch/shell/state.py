"""What a shell knows at one point of its program, and what it knows where two ways meet."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from agent.core.pytorch.facts import NOTHING, Facts
from agent.core.pytorch.facts import join as join_facts
from agent.core.pytorch.shell.tree import Node
from agent.core.pytorch.shell.unknown import unknown


@dataclass(frozen=True, slots=True)
class State:
    facts: Facts = NOTHING
    values: Mapping[str, str | None] = field(default_factory=dict)  # what the program itself set; None: unset
    exported: frozenset[str] = frozenset()  # of these, what its own programs get
    functions: Mapping[str, Node | None] = field(default_factory=dict)  # None: an alias, or one that is not known
    folder: str = "/"
    is_strict: bool = False  # `set -e`
    is_bash: bool = False  # of /bin/sh nobody knows whether it is bash, dash or busybox's
    is_piped_strictly: bool = False  # `set -o pipefail`
    is_lax: bool = False  # `set +e`: the program says that its commands may fail
    is_open: bool = False  # something that is not read may have set variables that nothing else sets
    is_lost: bool = False  # it may have set any variable
    said: str = ""  # what it wrote so far, where that is asked for

    def with_values(self, values: Mapping[str, str | None]) -> "State":
        return replace(self, values={**self.values, **values}) if values else self

    def with_facts(self, found: Facts) -> "State":
        return self if found is self.facts else replace(self, facts=found)


def join(*states: State | None) -> State | None:
    """The state whichever of these was reached; None where none was."""
    found: State | None = None
    for state in states:
        found = state if found is None else found if state is None or state is found else _joined(found, state)
    return found


def _joined(one: State, other: State) -> State:
    values = one.values
    if one.values is not other.values:
        values = {name: _one_value(name, one, other) for name in {**one.values, **other.values}}
    functions = one.functions
    if one.functions is not other.functions:
        names = {**one.functions, **other.functions}
        functions = {name: _one_function(name, one, other) for name in names}
    return State(
        facts=join_facts(one.facts, other.facts),
        values=values,
        exported=one.exported | other.exported,
        functions=functions,
        folder=one.folder if one.folder == other.folder else unknown("."),
        is_strict=one.is_strict and other.is_strict,
        is_bash=one.is_bash and other.is_bash,
        is_piped_strictly=one.is_piped_strictly or other.is_piped_strictly,
        is_lax=one.is_lax or other.is_lax,
        is_open=one.is_open or other.is_open,
        is_lost=one.is_lost or other.is_lost,
        said=one.said if one.said == other.said else unknown("$(...)"),
    )


def _one_value(name: str, one: State, other: State) -> str | None:
    if name in one.values and name in other.values and one.values[name] == other.values[name]:
        return one.values[name]
    return unknown(f"${name}")


def _one_function(name: str, one: State, other: State) -> Node | None:
    found = one.functions.get(name)
    return found if other.functions.get(name) is found else None
