"""The state of a shell at one point of its program, and the state after two branches join."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from agent.core.pytorch.shell.facts import NOTHING, Facts
from agent.core.pytorch.shell.facts import join as join_facts
from agent.core.pytorch.shell.tree import Node
from agent.core.pytorch.shell.unknown import unknown


@dataclass(frozen=True, slots=True)
class State:
    """What is known about a shell at one point of its program."""

    facts: Facts = NOTHING
    values: Mapping[str, str | None] = field(default_factory=dict)  # variables that the program set; None: unset
    exported: frozenset[str] = frozenset()  # those of them that commands inherit
    functions: Mapping[str, Node | None] = field(default_factory=dict)  # None: an alias, or an unknown function
    folder: str = "/"  # the working folder
    is_strict: bool = False  # `set -e`
    is_bash: bool = False  # False for /bin/sh, which may be bash, dash or busybox
    is_piped_strictly: bool = False  # `set -o pipefail`
    is_lax: bool = False  # `set +e`: the author expects that commands may fail
    is_open: bool = False  # an unread file may have set variables that nothing else sets
    is_lost: bool = False  # an unread file may have set any variable
    output: str = ""  # the output up to here, if it is needed

    def with_values(self, values: Mapping[str, str | None]) -> "State":
        return replace(self, values={**self.values, **values}) if values else self

    def with_facts(self, facts: Facts) -> "State":
        return self if facts is self.facts else replace(self, facts=facts)


def join(*states: State | None) -> State | None:
    """The state after any one of these branches. None: the branch, or every branch, cannot be reached."""
    joined: State | None = None
    for state in states:
        joined = state if joined is None else joined if state is None or state is joined else _joined(joined, state)
    return joined


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
        output=one.output if one.output == other.output else unknown("$(...)"),
    )


def _one_value(name: str, one: State, other: State) -> str | None:
    if name in one.values and name in other.values and one.values[name] == other.values[name]:
        return one.values[name]
    return unknown(f"${name}")


def _one_function(name: str, one: State, other: State) -> Node | None:
    function = one.functions.get(name)
    return function if other.functions.get(name) is function else None
