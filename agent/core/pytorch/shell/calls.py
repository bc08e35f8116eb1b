"""Commands that run other commands: functions, `sudo` and the like, and shells."""

import re
from collections.abc import Mapping
from dataclasses import replace

from agent.core.pytorch.facts import Facts
from agent.core.pytorch.facts import join as join_facts
from agent.core.pytorch.shell import builtins, installers, installing, removing, tree
from agent.core.pytorch.shell.interpreter import CALLS, Interpreter
from agent.core.pytorch.shell.outcome import TESTED, Outcome, of_result, only_facts, without_values
from agent.core.pytorch.shell.state import State, join
from agent.core.pytorch.shell.unknown import is_known

_OPTION_C = re.compile(r"-[a-zA-Z]*c\Z")
_BASHES = frozenset({"bash", "zsh", "ksh"})


def unknown_command(run: Interpreter, words: list[str], state: State, context: int) -> Outcome:
    """What it does is not known; where it is told to install torch, it may have done so."""
    state = state.with_facts(_perhaps_removed(run, words, state))
    if text := installing.may_install(words):
        may = state.facts.with_install(text, "", None, None)
        state = state.with_facts(join_facts(state.facts, may))
    return of_result(None, state, context)


def _perhaps_removed(run: Interpreter, words: list[str], state: State) -> Facts:
    if not state.facts.placed:
        return state.facts
    run.spend(min(len(words), 30))
    return removing.perhaps(installers.Ran(words, run.told(state), state.folder), state.facts)


def wrapped(
    run: Interpreter,
    words: list[str],
    inner: tuple[list[str], Mapping[str, str | None]],
    node: tree.Command,
    state: State,
    context: int,
) -> Outcome:
    """`sudo`, `env`, `time` and others run the rest of their words."""
    rest, values = inner
    if not rest or run.calls >= CALLS:
        return of_result(None, state, context)
    within = replace(state.with_values(values), exported=state.exported | set(values)) if values else state
    if words[0] in ("command", "builtin", "env", "sudo", "exec") and rest[0] in state.functions:
        within = replace(within, functions={})
    well, badly = run.command(rest, node, within, context)
    if within is not state:
        well, badly = without_values(well, within, state), without_values(badly, within, state)
    if words[0] == "exec" and run.exits:
        run.exits[-1].append((well, badly))
        return None, None
    return well, badly


def call(run: Interpreter, name: str, words: list[str], state: State, context: int) -> Outcome:
    body = state.functions[name]
    if body is None or run.calls >= CALLS:
        return unknown_command(run, ["?", *words], state, context)
    # What it makes of its words is not read: it may run them (`retry pip install torch`).
    state = join(state, unknown_command(run, ["?", *words], state, TESTED)[0]) or state
    run.calls += 1
    run.returns.append([])
    run.locals.append(set())
    within = state.with_values(builtins.positional(words[1:]))
    before = {digit: state.values.get(digit) for digit in builtins.POSITIONAL if digit in state.values}
    well, badly = run.node(body, within, context)
    for done, failed in run.returns.pop():
        well, badly = join(well, done), join(badly, failed)
    run.calls -= 1
    local = run.locals.pop()
    outer = {name: state.values.get(name) for name in local if name in state.values} | before
    return _as_before(well, outer, local), _as_before(badly, outer, local)


def shell(run: Interpreter, name: str, words: list[str], node: tree.Command, state: State, context: int) -> Outcome:
    """`bash -c 'program'`, and a shell that reads its program from a heredoc."""
    options = [word for word in words[1:] if word.startswith("-") and len(word) > 1]
    if any("n" in word for word in options if not word.startswith("--")) and name not in ("su", "runuser"):
        return state, None  # it only reads its program
    given = next(
        (at for at in range(1, len(words)) if _OPTION_C.match(words[at])),
        None,
    )
    strict = any("e" in word for word in options if not word.startswith("--") and name not in ("su", "runuser"))
    if given is not None:
        if given + 1 >= len(words):
            return of_result(None, state, context)
        visible = {name: None for name in state.values if name not in state.exported and run.outside(name) is None}
        inner = replace(state.with_values(visible), is_strict=strict, is_bash=name in _BASHES, functions={})
        if name in ("su", "runuser"):
            inner = inner.with_values({"HOME": _home_of(words)})
        elif len(words) > given + 2:
            inner = inner.with_values(builtins.positional(words[given + 3 :]))
        return _given(run, words[given + 1], inner, state, context)
    if node.input is None or any(not word.startswith("-") for word in words[1:]):
        state = state.with_facts(removing.after_script(words, state.facts))
        return of_result(None, state, context)
    return _read(run, node, replace(state, is_strict=strict, is_bash=name in _BASHES, functions={}), state, context)


def _home_of(words: list[str]) -> str:
    """The home of the user that `su` becomes."""
    named = [
        word
        for at, word in enumerate(words[1:], start=1)
        if not word.startswith("-") and words[at - 1] not in ("-c", "-s", "-g", "-G", "-w", "--command", "--shell")
    ]
    user = next(iter(named), "root")
    return "/root" if user == "root" else f"/home/{user}"


def _given(run: Interpreter, program: str, inner: State, state: State, context: int) -> Outcome:
    """A program that was given as a word."""
    if not is_known(program) and not is_known(program.partition(" ")[0]):
        return of_result(None, state, context)
    well, badly = run.program(program, inner, context)
    return only_facts(well, state), only_facts(badly, state)


def _read(run: Interpreter, node: tree.Command, inner: State, state: State, context: int) -> Outcome:
    """A program that came in as text."""
    text = node.input or ""
    if not node.is_literal and "\n" not in text and text[:1] in "'\"$":
        text = run.value(text, state)
    is_clear = node.is_literal or "\\" not in text
    well, badly = run.program(text, inner, context if is_clear else TESTED)
    well, badly = only_facts(well, state), only_facts(badly, state)
    return (well, badly) if is_clear else (join(well, badly, state), None)


def _as_before(state: State | None, before: Mapping[str, str | None], local: set[str]) -> State | None:
    """The state after a function, with the arguments of the program around it."""
    if state is None:
        return None
    kept = {
        name: value for name, value in state.values.items() if name not in builtins.POSITIONAL and name not in local
    }
    return replace(state, values={**kept, **before})
