"""The interpreter that follows one program: it counts steps, looks up values and calls the function for each node."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from agent.core.pytorch.shell import arrays, expansion, printing, tree
from agent.core.pytorch.shell.arrays import BETWEEN
from agent.core.pytorch.shell.facts import Facts
from agent.core.pytorch.shell.outcome import TESTED, Outcome, only_facts
from agent.core.pytorch.shell.parse import parse
from agent.core.pytorch.shell.state import State, join
from agent.core.pytorch.shell.tree import Node
from agent.core.pytorch.shell.unknown import is_known, unknown, without_marks
from agent.core.pytorch.shell.words import UnreadableError

CALLS = 15  # the deepest nesting of functions and shells
_SHELL_VARIABLES = frozenset(
    {
        *("FTP_PROXY", "ftp_proxy", "ALL_PROXY", "all_proxy"),
        *("HOME", "PWD", "OLDPWD", "HOSTNAME", "UID", "EUID", "PPID"),
        *("SHELL", "USER", "LOGNAME", "RANDOM", "SECONDS", "LINENO", "OSTYPE"),
        *("MACHTYPE", "HOSTTYPE", "IFS", "TARGETPLATFORM", "TARGETARCH", "TARGETOS", "TARGETVARIANT"),
        *("BUILDPLATFORM", "BUILDARCH", "BUILDOS", "REPLY", "OPTARG", "OPTIND", "TERM"),
        *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "BASH"),
        *("BASH_VERSION", "PATH"),
    }
)


_IS_SPLIT = re.compile(r"(?<!\")\$")  # a value without quotes around it
_WHOLE = re.compile(r"[\w./+=@,-]*")


def _is_whole(words: list[str], separators: str | None) -> bool:
    """Whether a value is one word, whatever the value of IFS is."""
    return len(words) < 2 and all(
        _WHOLE.fullmatch(word) is not None and not set(separators or "") & set(word) for word in words
    )


class TooLongError(Exception):
    """Following the history would take too many steps."""


class Interpreter:
    """Follows one program, for a limited number of steps."""

    def __init__(
        self,
        room: int,
        outside: Callable[[str], str | None],
        nodes: "Mapping[type, Callable[[Interpreter, Any, State, int], Outcome]]",
        commands: "Callable[[Interpreter, list[str], tree.Command, State, int], Outcome]",
    ) -> None:
        self.room = room  # steps left
        self.outside = outside  # the value of a variable that the program itself does not set
        self.calls = 0
        self.is_output_needed = False  # whether the output of `echo` is needed
        self.exits: list[list[Outcome]] = []
        self.returns: list[list[Outcome]] = []
        self.loops: list[list[State]] = []
        self.locals: list[set[str]] = []
        self.at_exit: list[tuple[str, Mapping[str, Node | None]]] = []
        self._nodes = nodes
        self._commands = commands

    def spend(self, steps: int) -> None:
        """Count some steps. Raises TooLongError if none are left."""
        self.room -= steps
        if self.room < 0:
            raise TooLongError

    def look_up(self, state: State) -> Callable[[str], str | None]:
        """A function that returns the value of a variable or of `$(program)` in this state; None if it is not set."""

        def look_up(name: str) -> str | None:
            if name.startswith("$("):
                return self._output_of(name[2:-1], state)
            if name in state.values:
                value = state.values[name]
            elif name.isdecimal() or state.is_lost:
                value = unknown(f"${name}")
            elif (value := self.outside(name)) is None and (state.is_open or name in _SHELL_VARIABLES):
                value = state.folder if name == "PWD" else self.outside("~") if name == "HOME" else unknown(f"${name}")
            self.spend(1 + len(value or "") // 20)
            return value

        return look_up

    def _output_of(self, program: str, state: State) -> str | None:
        """The output of `$(program)`; None if it is unknown."""
        if self.calls >= CALLS or not ("echo" in program or state.functions):
            return None
        self.spend(1 + len(program) // 3)
        try:
            parsed = parse(without_marks(program))
        except UnreadableError:
            return None
        if not printing.only_prints(parsed, state):
            return None
        self.calls += 1
        self.is_output_needed, before = True, self.is_output_needed
        done = join(*self.scope(parsed, replace(state, output="", is_strict=False), TESTED))
        self.is_output_needed = before
        self.calls -= 1
        return done.output.rstrip("\n") if done is not None and is_known(done.output) else None

    def explicit_values(self, state: State) -> Callable[[str], str | None]:
        """A function like `look_up`, but it returns None for a variable that nothing sets, like PIP_DRY_RUN."""

        def look_up(name: str) -> str | None:
            self.spend(1)
            if name in state.values or state.is_lost:
                return state.values.get(name)
            value = self.outside(name)
            return None if value == unknown(f"${name}") else value

        return look_up

    def value(self, word: str, state: State) -> str:
        """The value of a word that is not split. Raises UnreadableError."""
        return expansion.value(word, self.look_up(state))

    def fields(self, words: tuple[str, ...], state: State) -> list[str]:
        """The words after expansion. Raises UnreadableError."""
        look_up = self.look_up(state)
        expanded: list[str] = []
        for word in words:
            given = self._arguments(word, state)
            more = expansion.fields(word, look_up) if given is None else given
            is_split = "IFS" in state.values and given is None and _IS_SPLIT.search(word) is not None
            expanded += [unknown("$(...)")] if is_split and not _is_whole(more, state.values["IFS"]) else more
        return expanded

    def _arguments(self, word: str, state: State) -> list[str] | None:
        """All words of `"$@"` or of an array; None for any other word, or if they are unknown."""
        if word == '"$@"':
            given = state.values.get("@")
            return given.split(BETWEEN) if given and is_known(given) else None
        return arrays.words(word, state.values) if "[" in word else None

    def node(self, node: Node, state: State | None, context: int) -> Outcome:
        """The outcome of a node of the tree; (None, None) if it cannot be reached."""
        if state is None:
            return None, None
        self.spend(1)
        return self._nodes[type(node)](self, node, state, context)

    def command(self, words: list[str], node: tree.Command, state: State, context: int) -> Outcome:
        """The outcome of a command whose words have their values."""
        return self._commands(self, words, node, state, context)

    def scope(self, node: Node, state: State, context: int) -> Outcome:
        """The outcome of a program or subshell, which `exit` ends."""
        self.exits.append([])
        loops, returns, self.loops, self.returns = self.loops, self.returns, [], []
        success, failure = self.node(node, state, context)
        for exit_success, exit_failure in self.exits.pop():
            success, failure = join(success, exit_success), join(failure, exit_failure)
        self.loops, self.returns = loops, returns
        return success, failure

    def in_subshell(self, node: Node, state: State, context: int) -> Outcome:
        """The outcome of a subshell: its variables are lost, but what it installs stays."""
        success, failure = self.scope(node, state, context)
        return only_facts(success, state), only_facts(failure, state)

    def after_possible_run(self, program: str, state: State) -> Facts:
        """The facts after a program that may have run, or may have failed."""
        try:
            outcome = self.program(program, state, TESTED)
        except UnreadableError:
            removes = any(word in program for word in ("rm", "uninstall", "remove"))
            return state.facts.in_doubt() if removes else state.facts
        return join(state, *outcome).facts  # type: ignore[union-attr]

    def program(self, program: str, state: State, context: int) -> Outcome:
        """The outcome of a program within the program. Raises UnreadableError."""
        if self.calls >= CALLS:
            raise UnreadableError("nested too deeply")
        self.spend(len(program) // 10)
        self.calls += 1
        outcome = self.in_subshell(parse(without_marks(program)), state, context)
        self.calls -= 1
        return outcome

    def substituted(self, programs: Iterable[str], state: State) -> State:
        """The state after the programs in the words of a command. It does not depend on whether they succeed."""
        for program in programs:
            self.spend(1 + len(program) // 3)
            state = state.with_facts(self.after_possible_run(program, replace(state, is_strict=False)))
        return state
