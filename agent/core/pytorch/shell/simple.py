"""Follow a simple command: apply its assignments and expand its words."""

import re
from dataclasses import replace

from agent.core.pytorch.shell import arrays, effects, installers, printing, tree
from agent.core.pytorch.shell.command_names import ASSIGNMENT, PRINTERS, WORKERS
from agent.core.pytorch.shell.interpreter import Interpreter
from agent.core.pytorch.shell.outcome import TESTED, Outcome, of_work, only_facts, without_values
from agent.core.pytorch.shell.state import State
from agent.core.pytorch.shell.unknown import is_known, unknown
from agent.core.pytorch.shell.words import UnreadableError, tokens

# Commands that neither install nor remove anything, so their words need no expansion.
_WITHOUT_EFFECT = frozenset(name for name in WORKERS if not effects.matters(name) and name not in installers.CONDAS)
_ASSIGNED = re.compile(
    ASSIGNMENT.pattern + r"""(?:\"?(?:\$\(|`)|[^$`]*+\Z)"""
)  # the value is `$(program)`, which certainly runs, or plain text
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
    if run.is_output_needed and node.words[at] == "echo":
        return printing.after_echo(run.fields(node.words[at:], inner), state), None
    if node.words[at].rpartition("/")[2] in PRINTERS and "-v" not in node.words:
        return _after_write(run, node, state), None
    if node.words[at] == ":":
        return _with_defaults(run, node.words[at:], inner), None
    if node.words[at] in _WITHOUT_EFFECT and node.words[at] not in state.functions:
        return of_work(inner if not at else state, state, context)
    words = run.fields(node.words[at:], inner)
    if not words:
        return state, None
    inner = inner.with_values(arrays.changed(words, inner.values))
    if at:
        inner = replace(inner, exported=inner.exported | set(inner.values) - set(state.values))
    success, failure = run.command(words, node, inner, context)
    return (without_values(success, inner, state), without_values(failure, inner, state)) if at else (success, failure)


def _of_program(run: Interpreter, program: str, state: State, context: int) -> Outcome:
    """The outcome of `name=$(program)`, which has the status of the program."""
    run.spend(1 + len(program) // 3)
    try:
        success, failure = run.program(program, replace(state, is_strict=False), context)
    except UnreadableError:
        return state.with_facts(run.after_possible_run(program, state)), None
    is_without_effect = success is not None and success.facts is state.facts
    success, failure = only_facts(success, state), only_facts(failure, state)
    return (success, None) if is_without_effect and context != TESTED else (success, failure)


def _after_write(run: Interpreter, node: tree.Command, state: State) -> State:
    """The state after `echo` has written a script to a file. The script may run later and remove torch."""
    if not (node.writes and state.facts.placed and any("rm" in word or "uninstall" in word for word in node.words)):
        return state
    return state.with_facts(run.after_possible_run("\n".join(run.fields(node.words[1:], state)), state))


def _with_defaults(run: Interpreter, words: tuple[str, ...], state: State) -> State:
    """The state after `: ${NAME:=value}`, which sets a variable that is not set."""
    for word in words:
        if match := _SET_DEFAULT.fullmatch(word):
            state = _assigned(run, match[1], False, word, state)
    return state


def _elements(run: Interpreter, word: str, state: State) -> list[str] | None:
    """The words of an array `(a "$b")`; None if they are unknown."""
    elements = tokens(word[1:-1])
    if any(token.kind != "word" or token.text.startswith("[") for token in elements if token.text != "\n"):
        return None
    words = run.fields(tuple(token.text for token in elements if token.kind == "word"), state)
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
