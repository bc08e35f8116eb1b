"""The output of a program that only tests and prints: `$([ "$WITH" = true ] && echo torch)`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from agent.core.pytorch.shell import tree
from agent.core.pytorch.shell.state import State
from agent.core.pytorch.shell.unknown import unknown

_SILENT = frozenset({"[", "test", "true", "false", ":", "return"})
_LONGEST = 2_000  # characters of the output
_NODES = 60  # nodes of a program that are examined


def only_prints(node: tree.Node, state: State) -> bool:
    """Whether the output of a program can be computed: it only tests, prints, and calls functions that do."""
    functions = state.functions
    if "echo" in functions:
        return False
    waiting: list[tree.Node] = [node]
    for _ in range(_NODES):
        if not waiting:
            return True
        one = waiting.pop()
        parts = _command(one, functions) if isinstance(one, tree.Command) else _parts(one)
        if parts is None or (state.is_strict and isinstance(one, tree.Sequence) and len(one.items) > 1):
            return False  # `set -e` may end it before it prints: shells differ in that
        waiting += parts
    return False


def _command(node: tree.Command, functions: Mapping[str, tree.Node | None]) -> list[tree.Node] | None:
    name = node.words[0] if node.words else ""
    if node.writes or node.input is not None or node.programs:
        return None
    if name in functions:
        body = functions[name]
        return None if body is None else [body]
    return [] if name == "echo" or name in _SILENT else None


def _parts(node: tree.Node) -> list[tree.Node] | None:
    """The nodes inside a node; None if it may print something unknown."""
    if isinstance(node, tree.Chain):
        return [node.first, *(part for _, part in node.rest)]
    if isinstance(node, tree.Sequence):
        return None if any(background for _, background in node.items) else [item for item, _ in node.items]
    if isinstance(node, tree.If):
        parts: list[tree.Node] = [part for branch in node.branches for part in branch]
        return parts if node.otherwise is None else [*parts, node.otherwise]
    if isinstance(node, tree.Case):
        return [body for _, body, _ in node.items]
    return [] if isinstance(node, tree.Test) else None


def after_echo(words: Sequence[str], state: State) -> State:
    """The state after `echo` has printed its words.

    Shells treat a backslash differently, so the output is then unknown.
    """
    text = " ".join(words[1:])
    is_clear = "\\" not in text and not text.startswith("-") and len(state.output) + len(text) < _LONGEST
    return replace(state, output=f"{state.output}{text}\n" if is_clear else unknown("$(...)"))
