"""A simple command: its assignments, and its words before they have their values."""

import re
from dataclasses import replace

from agent.core.pytorch.shell import arrays, effects, installers, speaking, tree
from agent.core.pytorch.shell.command_names import ASSIGNMENT, SPEAKERS, WORKERS
from agent.core.pytorch.shell.interpreter import Interpreter
from agent.core.pytorch.shell.outcome import TESTED, Outcome, only_facts, settled, without_values
from agent.core.pytorch.shell.state import State
from agent.core.pytorch.shell.unknown import is_known, unknown
from agent.core.pytorch.shell.words import UnreadableError, tokens

# Work that neither installs nor removes anything: its words need no values.
_IDLE = frozenset(name for name in WORKERS if not effects.matters(name) and name not in installers.CONDAS)
_ASSIGNED = re.compile(ASSIGNMENT.pattern + r"""(?:\"?(?:\$\(|`)|[^$`]*+\Z)""")  # by what surely runs, or by plain text
_SET_DEFAULT = re.compile(r"""\"?\$\{([A-Za-z_][A-Za-z0-9_]*):?=[^{}]*\}\"?""")


def simple(run: Interpreter, node: tree.Command, state: State, context: int) -> Outcome:
    run.spend(len(node.words))
    is_assignment = len(node.programs) == 1 and all(_ASSIGNED.match(word) for word in node.words)
    if not is_assignment:
        state = run.substituted(node.programs, state)
    at, inner = 0, state
    while at < len(node.words) and (match := ASSIGNMENT.match(node.words[at])):
        inner = _assigned(run, match[1], bool(match[2]), node.words[at][match.end() :], inner)
        at += 1
    if at == len(node.words):
        return _of_program(run, node.programs[0], inner, context) if is_assignment else (inner, None)
    if run.is_asked and node.words[at] == "echo":
        return speaking.after_echo(run.fields(node.words[at:], inner), state), None
    if node.words[at].rpartition("/")[2] in SPEAKERS and "-v" not in node.words:
        return _written(run, node, state), None
    if node.words[at] == ":":
        return _with_defaults(run, node.words[at:], inner), None
    if node.words[at] in _IDLE and node.words[at] not in state.functions:
        return settled(inner if not at else state, state, context)
    words = run.fields(node.words[at:], inner)
    if not words:
        return state, None
    inner = inner.with_values(arrays.changed(words, inner.values))
    if at:
        inner = replace(inner, exported=inner.exported | set(inner.values) - set(state.values))
    well, badly = run.command(words, node, inner, context)
    return (without_values(well, inner, state), without_values(badly, inner, state)) if at else (well, badly)


def _of_program(run: Interpreter, program: str, state: State, context: int) -> Outcome:
    """`name=$(program)` ends as the program does."""
    run.spend(1 + len(program) // 3)
    try:
        well, badly = run.program(program, replace(state, is_strict=False), context)
    except UnreadableError:
        return state.with_facts(run.perhaps(program, state)), None
    is_idle = well is not None and well.facts is state.facts
    well, badly = only_facts(well, state), only_facts(badly, state)
    return (well, None) if is_idle and context != TESTED else (well, badly)


def _written(run: Interpreter, node: tree.Command, state: State) -> State:
    """A script that is written may be run at once, and take away what was installed."""
    if not (node.writes and state.facts.placed and any("rm" in word or "uninstall" in word for word in node.words)):
        return state
    return state.with_facts(run.perhaps("\n".join(run.fields(node.words[1:], state)), state))


def _with_defaults(run: Interpreter, words: tuple[str, ...], state: State) -> State:
    """`: ${NAME:=value}` sets what is not set."""
    for word in words:
        if match := _SET_DEFAULT.fullmatch(word):
            state = _assigned(run, match[1], False, word, state)
    return state


def _elements(run: Interpreter, word: str, state: State) -> list[str] | None:
    """The words of `(a "$b")`; None where they are not known."""
    found = tokens(word[1:-1])
    if any(token.kind != "word" or token.text.startswith("[") for token in found if token.text != "\n"):
        return None
    words = run.fields(tuple(token.text for token in found if token.kind == "word"), state)
    return words if all(is_known(one) for one in words) else None


def _assigned(run: Interpreter, name: str, appends: bool, word: str, state: State) -> State:
    run.spend(1 + len(state.values) // 8)
    if word.startswith("("):  # an array
        return state.with_values(arrays.assigned(name, _elements(run, word, state), appends, state.values))
    text = run.value(word, state)
    if "$(...)" in text or "<(...)" in text:
        text = unknown(f"${name}")
    if appends:
        text = (run.look_up(state)(name) or "") + text
    run.spend(len(text) // 20)
    return state.with_values({name: text})
