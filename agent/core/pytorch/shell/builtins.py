"""The built-in commands of a shell."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from agent.core.pytorch.shell import places
from agent.core.pytorch.shell.arrays import BETWEEN
from agent.core.pytorch.shell.command_names import ASSIGNMENT, HARMLESS_FILES
from agent.core.pytorch.shell.interpreter import CALLS, Interpreter
from agent.core.pytorch.shell.outcome import Outcome, of_result, of_work
from agent.core.pytorch.shell.parse import parse
from agent.core.pytorch.shell.state import State
from agent.core.pytorch.shell.unknown import is_known, unknown, without_marks

POSITIONAL = (*"123456789", "@")  # the names of the program's arguments; "@" is all of them


def _constant(run: Interpreter, words: list[str], state: State, context: int) -> Outcome:
    """The outcome of `true`, `:` or `false`."""
    return of_result(words[0] != "false", state, context)


def _leave(run: Interpreter, words: list[str], state: State, context: int) -> Outcome:
    """The outcome of `exit`, `return`, `break` or `continue`: nothing after it runs."""
    name = words[0]
    if name in ("break", "continue"):
        if not run.loops:
            return state, None
        level = int(words[1]) if len(words) > 1 and words[1].isdecimal() and len(words[1]) < 3 else 1
        run.loops[-min(max(level, 1), len(run.loops))].append(state)
        return None, None
    status = words[1] if len(words) > 1 else ""
    outcome: Outcome = (state, state)
    if status.isdecimal():
        outcome = (state, None) if int(status[-9:]) == 0 else (None, state)
    leaves = run.returns if name == "return" and run.returns else run.exits
    if leaves:
        leaves[-1].append(outcome)
    return None, None


def _change_folder(run: Interpreter, words: list[str], state: State, context: int) -> Outcome:
    path = next((word for word in words[1:] if word == "-" or not word.startswith("-")), "~")
    is_unknown = path == "-" or words[0] == "popd"
    folder = unknown(".") if is_unknown else places.absolute(path, state.folder)
    return of_work(replace(state, folder=folder), state, context)


def _declare(run: Interpreter, words: list[str], state: State, context: int) -> Outcome:
    if words[0] == "local" and run.locals:
        run.locals[-1] |= {word.partition("=")[0] for word in words[1:]}
    is_export = words[0] == "export" or any(word.startswith("-") and "x" in word for word in words)
    for word in words[1:]:
        if match := ASSIGNMENT.match(word):
            run.spend(1 + len(state.values) // 8)
            text = word[match.end() :]
            state = state.with_values({match[1]: unknown(f"${match[1]}") if "$(...)" in text else text})
        if is_export:
            state = replace(state, exported=state.exported | {word.partition("=")[0]})
    return state, None


def source(run: Interpreter, words: list[str], state: State, context: int) -> Outcome:
    """`. folder/bin/activate` selects an environment. Any other file may set any variable."""
    target = words[1] if len(words) > 1 else ""
    if target.endswith("/bin/activate") and is_known(target.rpartition("/")[2]):
        prefix = places.absolute(target.removesuffix("/bin/activate"), state.folder)
        chosen = {"VIRTUAL_ENV": prefix, "PATH": f"{prefix}/bin:"}
        return of_work(state.with_values(chosen), state, context)
    if target.rpartition("/")[2] == "activate":
        name = words[2] if len(words) > 2 else "base"
        return of_work(state.with_values({"CONDA_DEFAULT_ENV": name, "VIRTUAL_ENV": None}), state, context)
    sourced = replace(state, is_open=True)
    if target.rpartition("/")[2] not in HARMLESS_FILES:
        run.exits[-1].append((state, None))  # the file may even end the program
        sourced = replace(sourced, values={}, is_lost=True)
    return of_work(sourced, state, context)


def _set(run: Interpreter, words: list[str], state: State, context: int) -> Outcome:
    if "pipefail" in words:
        state = replace(state, is_piped_strictly=words[words.index("pipefail") - 1].startswith("-"))
    if "--" in words:
        return state.with_values(positional(words[words.index("--") + 1 :])), None
    if any(word[:1] == "-" and "n" in word[1:] for word in words[1:] if word != "-o"):
        run.exits[-1].append((state, None))  # `set -n`: the rest of the program is not run
        return None, None
    for at, word in enumerate(words[1:], start=1):
        sign = words[at - 1][:1] if word == "errexit" else word[:1] if "e" in word else ""
        if sign in ("+", "-"):
            state = replace(state, is_strict=sign == "-", is_lax=sign == "+")
    return state, None


def _eval(run: Interpreter, words: list[str], state: State, context: int) -> Outcome:
    program = " ".join(words[1:])
    if not is_known(program) or run.calls >= CALLS:
        # The program may do anything, even remove torch.
        return of_result(None, replace(state, is_open=True, facts=state.facts.in_doubt()), context)
    run.spend(len(program) // 10)
    run.calls += 1
    outcome = run.node(parse(program), state, context)
    run.calls -= 1
    return outcome


def _unset(run: Interpreter, words: list[str], state: State, context: int) -> Outcome:
    names = [word for word in words[1:] if not word.startswith("-")]
    if "-f" in words:
        return replace(
            state, functions={name: body for name, body in state.functions.items() if name not in names}
        ), None
    return state.with_values(dict.fromkeys(names)), None


def _alias(run: Interpreter, words: list[str], state: State, context: int) -> Outcome:
    changed = {word.partition("=")[0]: None for word in words[1:] if "=" in word}
    return replace(state, functions={**state.functions, **changed}), None


def _input(run: Interpreter, words: list[str], state: State, context: int) -> Outcome:
    """The outcome of `read`: the values of its variables are unknown."""
    changed = {word: unknown("$(...)") for word in words[1:] if not word.startswith("-")}
    return of_result(None, state.with_values(changed), context)


def _trap(run: Interpreter, words: list[str], state: State, context: int) -> Outcome:
    if {"EXIT", "0"} & set(words[2:]):
        run.at_exit.append((without_marks(words[1]), state.functions))
    return state, None


def positional(words: list[str]) -> Mapping[str, str | None]:
    """The values of `$1` to `$9` and `$@` for these arguments; None: not set."""
    values = {name: words[at] if at < len(words) else None for at, name in enumerate(POSITIONAL[:-1])}
    return {**values, "@": BETWEEN.join(words) if words else None}


def _shift(run: Interpreter, words: list[str], state: State, context: int) -> Outcome:
    given, count = state.values.get("@"), words[1] if len(words) > 1 else "1"
    if given is None or not is_known(given) or not (count.isdecimal() and len(count) < 3):
        return state.with_values({name: unknown(f"${name}") for name in POSITIONAL}), None
    return state.with_values(positional(given.split(BETWEEN)[int(count) :])), None


BUILTINS: Mapping[str, Callable[[Interpreter, list[str], State, int], Outcome]] = {
    **dict.fromkeys(("true", ":", "false"), _constant),
    **dict.fromkeys(("exit", "return", "break", "continue"), _leave),
    **dict.fromkeys(("cd", "pushd", "popd"), _change_folder),
    **dict.fromkeys(("export", "declare", "typeset", "local", "readonly"), _declare),
    **dict.fromkeys((".", "source"), source),
    "set": _set,
    "shift": _shift,
    "eval": _eval,
    "unset": _unset,
    "alias": _alias,
    "read": _input,
    "trap": _trap,
}
