"""Commands that run other commands: functions, `sudo` and the like, and shells."""

import re
from collections.abc import Mapping
from dataclasses import replace

from agent.core.pytorch.shell import builtins, installers, installing, removing, tree
from agent.core.pytorch.shell.facts import Facts
from agent.core.pytorch.shell.facts import join as join_facts
from agent.core.pytorch.shell.interpreter import CALLS, Interpreter
from agent.core.pytorch.shell.outcome import TESTED, Outcome, of_result, only_facts, without_values
from agent.core.pytorch.shell.state import State, join
from agent.core.pytorch.shell.unknown import is_known

_OPTION_C = re.compile(r"-[a-zA-Z]*c\Z")
_BASHES = frozenset({"bash", "zsh", "ksh"})


def unknown_command(run: Interpreter, words: list[str], state: State, context: int) -> Outcome:
    """The outcome of a command whose effect is unknown. It may run its arguments: `retry pip install torch`."""
    state = state.with_facts(_after_unknown(run, words, state))
    if text := installing.may_install(words):
        installed = state.facts.with_install(text, "", None, None)
        state = state.with_facts(join_facts(state.facts, installed))
    return of_result(None, state, context)


def _after_unknown(run: Interpreter, words: list[str], state: State) -> Facts:
    if not state.facts.placed:
        return state.facts
    run.spend(min(len(words), 30))
    return removing.after_unknown_command(
        installers.RanCommand(words, run.explicit_values(state), state.folder), state.facts
    )


def wrapped(
    run: Interpreter,
    words: list[str],
    inner: tuple[list[str], Mapping[str, str | None]],
    node: tree.Command,
    state: State,
    context: int,
) -> Outcome:
    """The outcome of `sudo`, `env`, `time` and others, which run the rest of their words.

    `inner` is the rest of the words and the variables that the wrapper sets for them.
    """
    rest, values = inner
    if not rest or run.calls >= CALLS:
        return of_result(None, state, context)
    within = replace(state.with_values(values), exported=state.exported | set(values)) if values else state
    if words[0] in ("command", "builtin", "env", "sudo", "exec") and rest[0] in state.functions:
        within = replace(within, functions={})
    success, failure = run.command(rest, node, within, context)
    if within is not state:
        success, failure = without_values(success, within, state), without_values(failure, within, state)
    if words[0] == "exec" and run.exits:
        run.exits[-1].append((success, failure))
        return None, None
    return success, failure


def call(run: Interpreter, name: str, words: list[str], state: State, context: int) -> Outcome:
    """The outcome of calling a function."""
    body = state.functions[name]
    if body is None or run.calls >= CALLS:
        return unknown_command(run, ["?", *words], state, context)
    # The function may run its arguments (`retry pip install torch`); following its body does not show that.
    state = join(state, unknown_command(run, ["?", *words], state, TESTED)[0]) or state
    run.calls += 1
    run.returns.append([])
    run.locals.append(set())
    within = state.with_values(builtins.positional(words[1:]))
    before = {digit: state.values.get(digit) for digit in builtins.POSITIONAL if digit in state.values}
    success, failure = run.node(body, within, context)
    for done, failed in run.returns.pop():
        success, failure = join(success, done), join(failure, failed)
    run.calls -= 1
    local = run.locals.pop()
    outer = {name: state.values.get(name) for name in local if name in state.values} | before
    return _restored(success, outer, local), _restored(failure, outer, local)


def shell(run: Interpreter, name: str, words: list[str], node: tree.Command, state: State, context: int) -> Outcome:
    """The outcome of `bash -c 'program'`, or of a shell that reads its program from a heredoc."""
    options = [word for word in words[1:] if word.startswith("-") and len(word) > 1]
    if any("n" in word for word in options if not word.startswith("--")) and name not in ("su", "runuser"):
        return state, None  # `sh -n` does not run its program
    option_c = next((at for at in range(1, len(words)) if _OPTION_C.match(words[at])), None)
    strict = any("e" in word for word in options if not word.startswith("--") and name not in ("su", "runuser"))
    if option_c is not None:
        if option_c + 1 >= len(words):
            return of_result(None, state, context)
        visible = {name: None for name in state.values if name not in state.exported and run.outside(name) is None}
        inner = replace(state.with_values(visible), is_strict=strict, is_bash=name in _BASHES, functions={})
        if name in ("su", "runuser"):
            inner = inner.with_values({"HOME": _home_of(words)})
        elif len(words) > option_c + 2:
            inner = inner.with_values(builtins.positional(words[option_c + 3 :]))
        return _run_argument(run, words[option_c + 1], inner, state, context)
    if node.input is None or any(not word.startswith("-") for word in words[1:]):
        state = state.with_facts(removing.after_script(words, state.facts))
        return of_result(None, state, context)
    return _run_input(
        run, node, replace(state, is_strict=strict, is_bash=name in _BASHES, functions={}), state, context
    )


def _home_of(words: list[str]) -> str:
    """The home of the user whom `su` switches to."""
    users = [
        word
        for at, word in enumerate(words[1:], start=1)
        if not word.startswith("-") and words[at - 1] not in ("-c", "-s", "-g", "-G", "-w", "--command", "--shell")
    ]
    user = next(iter(users), "root")
    return "/root" if user == "root" else f"/home/{user}"


def _run_argument(run: Interpreter, program: str, inner: State, state: State, context: int) -> Outcome:
    """The outcome of a program that is an argument of the shell."""
    if not is_known(program) and not is_known(program.partition(" ")[0]):
        return of_result(None, state, context)
    success, failure = run.program(program, inner, context)
    return only_facts(success, state), only_facts(failure, state)


def _run_input(run: Interpreter, node: tree.Command, inner: State, state: State, context: int) -> Outcome:
    """The outcome of a program that the shell reads from its input."""
    text = node.input or ""
    if not node.is_literal and "\n" not in text and text[:1] in "'\"$":
        text = run.value(text, state)
    is_clear = node.is_literal or "\\" not in text
    success, failure = run.program(text, inner, context if is_clear else TESTED)
    success, failure = only_facts(success, state), only_facts(failure, state)
    return (success, failure) if is_clear else (join(success, failure, state), None)


def _restored(state: State | None, before: Mapping[str, str | None], local: set[str]) -> State | None:
    """The state after a function returned: its local variables and arguments have their previous values."""
    if state is None:
        return None
    kept = {
        name: value for name, value in state.values.items() if name not in builtins.POSITIONAL and name not in local
    }
    return replace(state, values={**kept, **before})
