"""What following one program needs: its steps, what leaves it, the values of its words, and the way into each node."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from agent.core.pytorch.facts import Facts
from agent.core.pytorch.shell import arrays, expansion, speaking, tree
from agent.core.pytorch.shell.arrays import BETWEEN
from agent.core.pytorch.shell.outcome import TESTED, Outcome, only_facts
from agent.core.pytorch.shell.parse import parse
from agent.core.pytorch.shell.state import State, join
from agent.core.pytorch.shell.tree import Node
from agent.core.pytorch.shell.unknown import is_known, unknown, without_marks
from agent.core.pytorch.shell.words import UnreadableError

CALLS = 15  # functions and shells within one another
_OF_THE_SHELL = frozenset(
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
    """Whether a value is one word whatever IFS has."""
    return len(words) < 2 and all(
        _WHOLE.fullmatch(word) is not None and not set(separators or "") & set(word) for word in words
    )


class TooLongError(Exception):
    """Following the history takes too many steps."""


class Interpreter:
    """Follows one program, up to a number of steps."""

    def __init__(
        self,
        room: int,
        outside: Callable[[str], str | None],
        nodes: "Mapping[type, Callable[[Interpreter, Any, State, int], Outcome]]",
        commands: "Callable[[Interpreter, list[str], tree.Command, State, int], Outcome]",
    ) -> None:
        self.room = room  # steps that are left
        self.outside = outside  # the values of variables that the program itself does not set
        self.calls = 0
        self.is_asked = False  # whether what the program writes is wanted
        self.exits: list[list[Outcome]] = []
        self.returns: list[list[Outcome]] = []
        self.loops: list[list[State]] = []
        self.locals: list[set[str]] = []
        self.at_exit: list[tuple[str, Mapping[str, Node | None]]] = []
        self._nodes = nodes
        self._commands = commands

    def spend(self, steps: int) -> None:
        """Raises TooLongError."""
        self.room -= steps
        if self.room < 0:
            raise TooLongError

    def look_up(self, state: State) -> Callable[[str], str | None]:
        def look_up(name: str) -> str | None:
            if name.startswith("$("):
                return self._spoken(name[2:-1], state)
            if name in state.values:
                found = state.values[name]
            elif name.isdecimal() or state.is_lost:
                found = unknown(f"${name}")
            elif (found := self.outside(name)) is None and (state.is_open or name in _OF_THE_SHELL):
                found = state.folder if name == "PWD" else self.outside("~") if name == "HOME" else unknown(f"${name}")
            self.spend(1 + len(found or "") // 20)
            return found

        return look_up

    def _spoken(self, program: str, state: State) -> str | None:
        """What `$(program)` becomes; None where that is not known."""
        if self.calls >= CALLS or not ("echo" in program or state.functions):
            return None
        self.spend(1 + len(program) // 3)
        try:
            parsed = parse(without_marks(program))
        except UnreadableError:
            return None
        if not speaking.only_speaks(parsed, state):
            return None
        self.calls += 1
        self.is_asked, before = True, self.is_asked
        done = join(*self.scope(parsed, replace(state, said="", is_strict=False), TESTED))
        self.is_asked = before
        self.calls -= 1
        return done.said.rstrip("\n") if done is not None and is_known(done.said) else None

    def told(self, state: State) -> Callable[[str], str | None]:
        """Only the variables that something has set: nobody set PIP_DRY_RUN where nothing speaks of it."""

        def look_up(name: str) -> str | None:
            self.spend(1)
            if name in state.values or state.is_lost:
                return state.values.get(name)
            found = self.outside(name)
            return None if found == unknown(f"${name}") else found

        return look_up

    def value(self, word: str, state: State) -> str:
        return expansion.value(word, self.look_up(state))

    def fields(self, words: tuple[str, ...], state: State) -> list[str]:
        look_up = self.look_up(state)
        found: list[str] = []
        for word in words:
            given = self._arguments(word, state)
            more = expansion.fields(word, look_up) if given is None else given
            is_split = "IFS" in state.values and given is None and _IS_SPLIT.search(word) is not None
            found += [unknown("$(...)")] if is_split and not _is_whole(more, state.values["IFS"]) else more
        return found

    def _arguments(self, word: str, state: State) -> list[str] | None:
        """All words of `"$@"` or of an array; None for any other word, and where they are not known."""
        if word == '"$@"':
            given = state.values.get("@")
            return given.split(BETWEEN) if given and is_known(given) else None
        return arrays.words(word, state.values) if "[" in word else None

    def node(self, node: Node, state: State | None, context: int) -> Outcome:
        if state is None:
            return None, None
        self.spend(1)
        return self._nodes[type(node)](self, node, state, context)

    def command(self, words: list[str], node: tree.Command, state: State, context: int) -> Outcome:
        """A command whose words have their values."""
        return self._commands(self, words, node, state, context)

    def scope(self, node: Node, state: State, context: int) -> Outcome:
        """What `exit` ends."""
        self.exits.append([])
        loops, returns, self.loops, self.returns = self.loops, self.returns, [], []
        well, badly = self.node(node, state, context)
        for exit_well, exit_badly in self.exits.pop():
            well, badly = join(well, exit_well), join(badly, exit_badly)
        self.loops, self.returns = loops, returns
        return well, badly

    def apart(self, node: Node, state: State, context: int) -> Outcome:
        """A subshell: of what it does only what it installs stays."""
        well, badly = self.scope(node, state, context)
        return only_facts(well, state), only_facts(badly, state)

    def perhaps(self, program: str, state: State) -> Facts:
        try:
            outcome = self.program(program, state, TESTED)
        except UnreadableError:
            removes = any(word in program for word in ("rm", "uninstall", "remove"))
            return state.facts.in_doubt() if removes else state.facts
        return join(state, *outcome).facts  # type: ignore[union-attr]

    def program(self, program: str, state: State, context: int) -> Outcome:
        """A program within the program. Raises UnreadableError."""
        if self.calls >= CALLS:
            raise UnreadableError("nested too deeply")
        self.spend(len(program) // 10)
        self.calls += 1
        outcome = self.apart(parse(without_marks(program)), state, context)
        self.calls -= 1
        return outcome

    def substituted(self, programs: Iterable[str], state: State) -> State:
        """The state after the programs within the words of a command. Their status decides nothing."""
        for program in programs:
            self.spend(1 + len(program) // 3)
            state = state.with_facts(self.perhaps(program, replace(state, is_strict=False)))
        return state
