"""Follows a shell program as a shell would, with the values that are known, and tells what surely ran.

Each command has two outcomes: the state after it ended well, and the state after it failed; None where that cannot be.
A test that cannot be known has both, and where two ways meet only what holds on both is sure (`state.join`).
A build's line whose layer exists ended well, so whatever would have made it fail did not happen.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from agent.core.pytorch.facts import Facts
from agent.core.pytorch.facts import join as join_facts
from agent.core.pytorch.shell import install_commands, places
from agent.core.pytorch.shell import parse as shell_parse
from agent.core.pytorch.shell import values as shell_values
from agent.core.pytorch.shell.command_names import ASSIGNMENT, HARMLESS_FILES, SHELLS, SPEAKERS, WORKERS, unwrapped
from agent.core.pytorch.shell.parse import Node
from agent.core.pytorch.shell.state import State, join
from agent.core.pytorch.shell.values import clean, is_known, unknown
from agent.core.pytorch.shell.words import UnreadableError

Outcome = tuple[State | None, State | None]

# How a command's status counts. PLAIN: work that fails would have been seen, so it did not (`a; b`), and `set -e` ends
# the program. CHAINED: the same without `set -e` (`a` in `a && b`). TESTED: both are possible (`a || b`, `if a`).
PLAIN, CHAINED, TESTED = range(3)

# Work that neither installs nor removes anything: its words need no values.
_IDLE = frozenset(
    name for name in WORKERS if not install_commands.matters(name) and name not in install_commands.CONDAS
)
_SET_DEFAULT = re.compile(r"""\"?\$\{([A-Za-z_][A-Za-z0-9_]*):?=[^{}]*\}\"?""")
_DIGITS = "123456789"

STEPS = 10_000  # of all programs of one image; one takes 1 to 3 microseconds
_LINE_STEPS = 6_000  # of one line, so that a hostile one leaves room for the others
_CALLS = 15  # functions and shells within one another
_WORDS = 30  # of a `for`, and as often it is followed
_BASHES = frozenset({"bash", "zsh", "ksh"})
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


class TooLongError(Exception):
    """Following the history takes too many steps."""


class Runner:
    """Follows the programs of one image, up to a number of steps for all of them."""

    def __init__(self, steps: int = STEPS) -> None:
        self._left = steps
        self._room = 0
        self._outside: Callable[[str], str | None] = lambda _: None
        self._calls = 0
        self._exits: list[list[Outcome]] = []
        self._returns: list[list[Outcome]] = []
        self._loops: list[list[State]] = []
        self._locals: list[set[str]] = []
        self._nodes: dict[type, Callable[..., Outcome]] = {
            shell_parse.Command: self._command,
            shell_parse.Test: self._test,
            shell_parse.Pipeline: self._pipeline,
            shell_parse.Chain: self._chain,
            shell_parse.Sequence: self._sequence,
            shell_parse.Subshell: self._subshell,
            shell_parse.If: self._if,
            shell_parse.Case: self._case,
            shell_parse.For: self._for,
            shell_parse.While: self._while,
            shell_parse.Function: self._define,
        }
        self._builtins: dict[str, Callable[[list[str], State, int], Outcome]] = {
            **dict.fromkeys(("true", ":", "false"), _constant),
            **dict.fromkeys(("exit", "return", "break", "continue"), self._leave),
            **dict.fromkeys(("cd", "pushd", "popd"), self._change_folder),
            **dict.fromkeys(("export", "declare", "typeset", "local", "readonly"), self._declare),
            **dict.fromkeys((".", "source"), self._source),
            "set": self._set,
            "eval": self._eval,
            "unset": self._unset,
            "alias": self._alias,
            "read": self._input,
            "trap": self._trap,
        }

    def run(self, program: str, state: State, outside: Callable[[str], str | None]) -> Facts:
        """What is known once a line of a build has ended well. Raises UnreadableError and TooLongError."""
        self._room = min(self._left, _LINE_STEPS)
        self._left -= self._room
        try:
            return self._run(program, state, outside)
        finally:
            self._left += max(self._room, 0)

    def _run(self, program: str, state: State, outside: Callable[[str], str | None]) -> Facts:
        if len(program) > shell_parse.LONGEST:
            raise TooLongError
        self.spend(1 + len(program) // 3)  # reading three characters takes as long as a step
        tree = shell_parse.parse(clean(program))
        self._outside = outside
        self._calls = 0
        self._exits, self._returns, self._loops, self._locals = [], [], [], []
        self._at_exit: list[tuple[str, Mapping[str, Node | None]]] = []
        if "$?" in program or _swallows_failure(tree):
            state = replace(state, is_lax=True)
        try:
            well, badly = self._scope(tree, state, PLAIN)
            for last, functions in self._at_exit[:10]:
                if well is not None:
                    well = well.with_facts(self._perhaps(last, replace(well, functions=functions)))
        except RecursionError:
            raise UnreadableError("nested too deeply") from None
        if well is not None:
            return well.facts
        # By what is known it fails, and yet its layer exists: something of it is not known.
        return join_facts(state.facts, badly.facts.doubtful() if badly is not None else state.facts)

    def spend(self, steps: int) -> None:
        """Raises TooLongError."""
        self._room -= steps
        if self._room < 0:
            raise TooLongError

    # --- values ---

    def _look_up(self, state: State) -> Callable[[str], str | None]:
        def look_up(name: str) -> str | None:
            if name in state.values:
                found = state.values[name]
            elif name.isdecimal() or state.is_lost:
                found = unknown(f"${name}")
            elif (found := self._outside(name)) is None and (state.is_open or name in _OF_THE_SHELL):
                found = state.folder if name == "PWD" else self._outside("~") if name == "HOME" else unknown(f"${name}")
            self.spend(1 + len(found or "") // 20)
            return found

        return look_up

    def _told(self, state: State) -> Callable[[str], str | None]:
        """Only the variables that something has set: nobody set PIP_DRY_RUN where nothing speaks of it."""

        def look_up(name: str) -> str | None:
            self.spend(1)
            if name in state.values or state.is_lost:
                return state.values.get(name)
            found = self._outside(name)
            return None if found == unknown(f"${name}") else found

        return look_up

    def _value(self, word: str, state: State) -> str:
        return shell_values.value(word, self._look_up(state))

    def _fields(self, words: tuple[str, ...], state: State) -> list[str]:
        look_up = self._look_up(state)
        return [field for word in words for field in shell_values.fields(word, look_up)]

    # --- what runs after what ---

    def _node(self, node: Node, state: State | None, context: int) -> Outcome:
        if state is None:
            return None, None
        self.spend(1)
        return self._nodes[type(node)](node, state, context)

    def _scope(self, node: Node, state: State, context: int) -> Outcome:
        """What `exit` ends."""
        self._exits.append([])
        loops, returns, self._loops, self._returns = self._loops, self._returns, [], []
        well, badly = self._node(node, state, context)
        for exit_well, exit_badly in self._exits.pop():
            well, badly = join(well, exit_well), join(badly, exit_badly)
        self._loops, self._returns = loops, returns
        return well, badly

    def _apart(self, node: Node, state: State, context: int) -> Outcome:
        """A subshell: of what it does only what it installs stays."""
        well, badly = self._scope(node, state, context)
        return _only_facts(well, state), _only_facts(badly, state)

    def _sequence(self, node: shell_parse.Sequence, state: State, context: int) -> Outcome:
        now: State | None = state
        outcome: Outcome = (state, None)
        for item, is_background in node.items:
            if is_background and now is not None:
                outcome = (join(now, *self._apart(item, now, TESTED)), None)
            else:
                outcome = self._node(item, now, context)
            now = join(*outcome)
        return outcome

    def _chain(self, node: shell_parse.Chain, state: State, context: int) -> Outcome:
        operators = [operator for operator, _ in node.rest]
        if any(isinstance(part, shell_parse.Command) and part.words[:1] == ("break",) for _, part in node.rest):
            context = TESTED  # `for ...; do pip install x && break; done` tries until it works
        last_or = max((at for at, operator in enumerate(operators) if operator == "||"), default=-1)

        def context_of(place: int) -> int:
            return TESTED if context == TESTED or place <= last_or else CHAINED if place < len(operators) else context

        well, badly = self._node(node.first, state, context_of(0))
        for place, (operator, part) in enumerate(node.rest, start=1):
            if operator == "&&":
                well, failed = self._node(part, well, context_of(place))
                badly = join(badly, failed)
            else:
                succeeded, badly = self._node(part, badly, context_of(place))
                well = join(well, succeeded)
        return well, badly

    def _pipeline(self, node: shell_parse.Pipeline, state: State, context: int) -> Outcome:
        if len(node.parts) == 1:
            well, badly = self._node(node.parts[0], state, TESTED)
            return badly, well
        now: State | None = state
        failed: State | None = None
        is_well = True
        for part in node.parts[:-1]:
            if now is not None:
                done, wrong = self._apart(part, now, TESTED if context == TESTED else CHAINED)
                is_well, failed, now = is_well and done is not None, join(failed, wrong), join(done, wrong)
        if now is None:
            return None, None
        now = self._deleted(node, now)
        if text := self._spoken(node, now):
            now = now.with_facts(self._perhaps(text, now))
        well, badly = self._apart(node.parts[-1], now, TESTED if node.is_negated else context)
        if state.is_piped_strictly and failed is not None:
            well, badly = (well, join(badly, well)) if is_well else (None, join(well, badly))
        return (badly, well) if node.is_negated else (well, badly)

    def _deleted(self, node: shell_parse.Pipeline, state: State) -> State:
        """`find ... | xargs rm` removes what `find ... -delete` does."""
        first, last = node.parts[0], node.parts[-1]
        if not (isinstance(first, shell_parse.Command) and isinstance(last, shell_parse.Command)):
            return state
        if "xargs" not in last.words[:3] or not {"rm", "/bin/rm", "mv"} & set(last.words):
            return state
        words = ["find", *self._fields(first.words, state)[1:], "-delete"]
        ran = install_commands.Ran(words, self._told(state), state.folder)
        return state.with_facts(install_commands.after(ran, state.facts)[0])

    def _spoken(self, node: shell_parse.Pipeline, state: State) -> str:
        """The program that `echo ... | sh` runs, as far as it is known; "" where none is."""
        first, last = node.parts[0], node.parts[-1]
        if not (isinstance(first, shell_parse.Command) and isinstance(last, shell_parse.Command) and last.words):
            return ""
        words = [word.rpartition("/")[2] for word in last.words]
        if not any(word in SHELLS for word in words[:3]):
            return ""
        return first.input or " ".join(self._fields(first.words[1:], state))

    def _perhaps(self, program: str, state: State) -> Facts:
        try:
            outcome = self._program(program, state, TESTED)
        except UnreadableError:
            return state.facts
        return join(state, *outcome).facts  # type: ignore[union-attr]

    def _subshell(self, node: shell_parse.Subshell, state: State, context: int) -> Outcome:
        return self._apart(node.body, state, context)

    # --- conditions and loops ---

    def _test(self, node: shell_parse.Test, state: State, context: int) -> Outcome:
        return _outcome(_by_bash(shell_values.extended_test(node.words, self._look_up(state)), state), state, context)

    def _if(self, node: shell_parse.If, state: State, context: int) -> Outcome:
        well: State | None = None
        badly: State | None = None
        now: State | None = state
        for condition, body in node.branches:
            holds, now = self._node(condition, now, TESTED)
            done, failed = self._node(body, holds, context)
            well, badly = join(well, done), join(badly, failed)
        done, failed = (now, None) if node.otherwise is None else self._node(node.otherwise, now, context)
        return join(well, done), join(badly, failed)

    def _case(self, node: shell_parse.Case, state: State, context: int) -> Outcome:
        word = self._value(node.word, state)
        well: State | None = None
        badly: State | None = None
        is_over, falls = False, False
        done: State | None = None
        failed: State | None = None
        for patterns, body, end in node.items:
            self.spend(len(patterns))
            answers = [shell_values.matches(word, self._value(pattern, state)) for pattern in patterns]
            answer = True if falls or True in answers else None if None in answers else False
            if answer is False:
                continue
            done, failed = self._node(body, join(done, failed) if falls else state, context)
            falls = end == ";&" and answer is True
            if not falls:
                well, badly = join(well, done), join(badly, failed)
            is_over = answer is True and end not in (";&", ";;&")
            if is_over:
                break
        if falls:
            return join(well, done), join(badly, failed)
        return (well if is_over else join(well, state)), badly

    def _for(self, node: shell_parse.For, state: State, context: int) -> Outcome:
        words = None if node.words is None else self._fields(node.words, state)
        is_clear = words is not None and len(words) <= _WORDS
        is_clear = is_clear and all(is_known(word) and not set("*?[{") & set(word) for word in words or ())
        self._loops.append([])
        outcome: Outcome = (state, None)
        if is_clear:
            now: State | None = state
            for word in words or ():
                outcome = self._node(node.body, None if now is None else now.with_values({node.name: word}), context)
                now = join(*outcome)
        else:
            around = self._around(node.body, state.with_values({node.name: unknown(f"${node.name}")}), context)
            outcome = (join(state, around), None)
        return join(outcome[0], *self._loops.pop()), outcome[1]

    def _around(self, body: Node, state: State, context: int) -> State | None:
        """A body that runs any number of times."""
        now: State | None = state
        for _ in range(2):
            now = join(now, *self._node(body, now, context))
        return now

    def _while(self, node: shell_parse.While, state: State, context: int) -> Outcome:
        self._loops.append([])
        now: State | None = state
        ends: State | None = None
        for _ in range(2):
            holds, fails = self._node(node.condition, now, TESTED)
            holds, fails = (fails, holds) if node.is_until else (holds, fails)
            ends = join(ends, fails)
            now = join(*self._node(node.body, holds, context))
            if now is None:
                break
        return join(ends, *self._loops.pop()), None

    # --- commands ---

    def _define(self, node: shell_parse.Function, state: State, context: int) -> Outcome:
        return replace(state, functions={**state.functions, node.name: node.body}), None

    def _command(self, node: shell_parse.Command, state: State, context: int) -> Outcome:
        self.spend(len(node.words))
        at, inner = 0, state
        while at < len(node.words) and (match := ASSIGNMENT.match(node.words[at])):
            inner = self._assigned(match[1], bool(match[2]), node.words[at][match.end() :], inner)
            at += 1
        if at == len(node.words):
            is_work = not any("$(" in word or "`" in word for word in node.words)
            return (inner, None) if is_work or context != TESTED else (inner, inner)
        if node.words[at].rpartition("/")[2] in SPEAKERS and "-v" not in node.words:
            return self._written(node, state), None
        if node.words[at] == ":":
            return self._with_defaults(node.words[at:], inner), None
        if node.words[at] in _IDLE and node.words[at] not in state.functions:
            return self._settled(inner if not at else state, state, context)
        words = self._fields(node.words[at:], inner)
        if not words:
            return state, None
        if at:
            inner = replace(inner, exported=inner.exported | set(inner.values) - set(state.values))
        well, badly = self._words(words, node, inner, context)
        return (_without(well, inner, state), _without(badly, inner, state)) if at else (well, badly)

    def _written(self, node: shell_parse.Command, state: State) -> State:
        """A script that is written may be run at once, and take away what was installed."""
        if not (
            node.writes and state.facts.installs and any("rm" in word or "uninstall" in word for word in node.words)
        ):
            return state
        return state.with_facts(self._perhaps("\n".join(self._fields(node.words[1:], state)), state))

    def _with_defaults(self, words: tuple[str, ...], state: State) -> State:
        """`: ${NAME:=value}` sets what is not set."""
        for word in words:
            if match := _SET_DEFAULT.fullmatch(word):
                state = self._assigned(match[1], False, word, state)
        return state

    def _assigned(self, name: str, appends: bool, word: str, state: State) -> State:
        self.spend(1 + len(state.values) // 8)
        if word.startswith("("):  # an array
            return state.with_values({name: unknown(f"${name}")})
        text = self._value(word, state)
        if "$(...)" in text or "<(...)" in text:
            text = unknown(f"${name}")
        if appends:
            text = (self._look_up(state)(name) or "") + text
        self.spend(len(text) // 20)
        return state.with_values({name: text})

    def _words(self, words: list[str], node: shell_parse.Command, state: State, context: int) -> Outcome:
        """A command whose words have their values."""
        self.spend(1)
        name = words[0]
        base = name.rpartition("/")[2]
        if name in state.functions:
            return self._call(name, words, state, context)
        if base in SPEAKERS:
            named = words[2:3] if words[1:2] == ["-v"] else []
            return state.with_values({name: unknown(f"${name}") for name in named}), None
        if name in ("[", "test"):
            result = shell_values.test(words[1:-1] if name == "[" else words[1:])
            return _outcome(_by_bash(result, state) if "==" in words else result, state, context)
        if (builtin := self._builtins.get(name)) is not None:
            return builtin(words, state, context)
        if base in SHELLS or base in ("su", "runuser"):
            return self._shell(base, words, node, state, context)
        if base in install_commands.CONDAS and words[1:2] == ["activate"]:
            return self._source(words, state, context)
        return self._program_of_others(base, words, node, state, context)

    def _program_of_others(
        self, base: str, words: list[str], node: shell_parse.Command, state: State, context: int
    ) -> Outcome:
        inner = unwrapped(words)
        if inner is not None:
            return self._inner(words, inner, node, state, context)
        if install_commands.matters(words[0]):
            return self._work(words, state, context)
        if base in WORKERS:
            return self._settled(state, state, context)
        return self._unknown(words, state, context)

    def _inner(
        self,
        words: list[str],
        inner: tuple[list[str], Mapping[str, str | None]],
        node: shell_parse.Command,
        state: State,
        context: int,
    ) -> Outcome:
        """`sudo`, `env`, `time` and others run the rest of their words."""
        rest, values = inner
        if not rest or self._calls >= _CALLS:
            return _outcome(None, state, context)
        within = replace(state.with_values(values), exported=state.exported | set(values)) if values else state
        if words[0] in ("command", "builtin", "env", "sudo", "exec") and rest[0] in state.functions:
            within = replace(within, functions={})
        well, badly = self._words(rest, node, within, context)
        if within is not state:
            well, badly = _without(well, within, state), _without(badly, within, state)
        if words[0] == "exec" and self._exits:
            self._exits[-1].append((well, badly))
            return None, None
        return well, badly

    def _work(self, words: list[str], state: State, context: int) -> Outcome:
        ran = install_commands.Ran(words, self._told(state), state.folder)
        known, is_work = install_commands.after(ran, state.facts)
        well = state.with_facts(known)
        if is_work:
            return self._settled(well, state, context)
        return _outcome(None, well, context)

    def _unknown(self, words: list[str], state: State, context: int) -> Outcome:
        """What it does is not known; where it is told to install torch, it may have done so."""
        if text := install_commands.may_install(words):
            may = state.facts.with_install(text, "", None, None)
            state = state.with_facts(join_facts(state.facts, may))
        return _outcome(None, state, context)

    def _call(self, name: str, words: list[str], state: State, context: int) -> Outcome:
        body = state.functions[name]
        if body is None or self._calls >= _CALLS:
            return self._unknown(["?", *words], state, context)
        if install_commands.is_installer(name):  # what it makes of its words is not read
            well, badly = self._unknown(["?", *words], state, TESTED)
            state = join(state, well) or state
        self._calls += 1
        self._returns.append([])
        self._locals.append(set())
        within = state.with_values(_positional(words[1:]))
        before = {digit: state.values.get(digit) for digit in _DIGITS if digit in state.values}
        well, badly = self._node(body, within, context)
        for done, failed in self._returns.pop():
            well, badly = join(well, done), join(badly, failed)
        self._calls -= 1
        local = self._locals.pop()
        outer = {name: state.values.get(name) for name in local if name in state.values} | before
        return _as_before(well, outer, local), _as_before(badly, outer, local)

    def _program(self, program: str, state: State, context: int) -> Outcome:
        """A program within the program. Raises UnreadableError."""
        if self._calls >= _CALLS:
            raise UnreadableError("nested too deeply")
        self.spend(len(program) // 10)
        self._calls += 1
        outcome = self._apart(shell_parse.parse(clean_inner(program)), state, context)
        self._calls -= 1
        return outcome

    def _shell(self, name: str, words: list[str], node: shell_parse.Command, state: State, context: int) -> Outcome:
        """`bash -c 'program'`, and a shell that reads its program from a heredoc."""
        options = [word for word in words[1:] if word.startswith("-") and len(word) > 1]
        if any("n" in word for word in options if not word.startswith("--")) and name not in ("su", "runuser"):
            return state, None  # it only reads its program
        given = next((at for at in range(1, len(words)) if words[at][:1] == "-" and words[at].endswith("c")), None)
        strict = any("e" in word for word in options if not word.startswith("--") and name not in ("su", "runuser"))
        if given is not None:
            if given + 1 >= len(words):
                return _outcome(None, state, context)
            visible = {
                name: None for name in state.values if name not in state.exported and self._outside(name) is None
            }
            inner = replace(state.with_values(visible), is_strict=strict, is_bash=name in _BASHES, functions={})
            return self._given(words[given + 1], inner, state, context)
        if node.input is None or any(not word.startswith("-") for word in words[1:]):
            return _outcome(None, state, context)
        return self._read(node, replace(state, is_strict=strict, is_bash=name in _BASHES, functions={}), state, context)

    def _given(self, program: str, inner: State, state: State, context: int) -> Outcome:
        """A program that was given as a word."""
        if not is_known(program) and not shell_values.is_known(program.partition(" ")[0]):
            return _outcome(None, state, context)
        well, badly = self._program(program, inner, context)
        return _only_facts(well, state), _only_facts(badly, state)

    def _read(self, node: shell_parse.Command, inner: State, state: State, context: int) -> Outcome:
        """A program that came in as text."""
        text = node.input or ""
        if not node.is_literal and "\n" not in text and text[:1] in "'\"$":
            text = self._value(text, state)
        is_clear = node.is_literal or "\\" not in text
        well, badly = self._program(text, inner, context if is_clear else TESTED)
        well, badly = _only_facts(well, state), _only_facts(badly, state)
        return (well, badly) if is_clear else (join(well, badly, state), None)

    def _source(self, words: list[str], state: State, context: int) -> Outcome:
        """`. folder/bin/activate` chooses an environment; any other file may set any variable."""
        target = words[1] if len(words) > 1 else ""
        if target.endswith("/bin/activate") and is_known(target.rpartition("/")[2]):
            prefix = places.absolute(target.removesuffix("/bin/activate"), state.folder)
            chosen = {"VIRTUAL_ENV": prefix, "PATH": f"{prefix}/bin:"}
            return self._settled(state.with_values(chosen), state, context)
        if target.rpartition("/")[2] == "activate":
            name = words[2] if len(words) > 2 else "base"
            return self._settled(state.with_values({"CONDA_DEFAULT_ENV": name, "VIRTUAL_ENV": None}), state, context)
        found = replace(state, is_open=True)
        if target.rpartition("/")[2] not in HARMLESS_FILES:
            self._exits[-1].append((state, None))  # it may even end the program
            found = replace(found, values={}, is_lost=True)
        return self._settled(found, state, context)

    def _settled(self, well: State, state: State, context: int) -> Outcome:
        return (well, None) if context != TESTED and not state.is_lax else (well, state)

    # --- what belongs to the shell itself ---

    def _change_folder(self, words: list[str], state: State, context: int) -> Outcome:
        path = next((word for word in words[1:] if word == "-" or not word.startswith("-")), "~")
        is_unknown = path == "-" or words[0] == "popd"
        folder = unknown(".") if is_unknown else places.absolute(path, state.folder)
        return self._settled(replace(state, folder=folder), state, context)

    def _unset(self, words: list[str], state: State, context: int) -> Outcome:
        names = [word for word in words[1:] if not word.startswith("-")]
        if "-f" in words:
            return replace(
                state, functions={name: body for name, body in state.functions.items() if name not in names}
            ), None
        return state.with_values(dict.fromkeys(names)), None

    def _set(self, words: list[str], state: State, context: int) -> Outcome:
        if "pipefail" in words:
            state = replace(state, is_piped_strictly=words[words.index("pipefail") - 1].startswith("-"))
        if "--" in words:
            return state.with_values(_positional(words[words.index("--") + 1 :])), None
        if any(word[:1] == "-" and "n" in word[1:] for word in words[1:] if word != "-o"):
            self._exits[-1].append((state, None))  # what comes after it is only read
            return None, None
        for at, word in enumerate(words[1:], start=1):
            sign = words[at - 1][:1] if word == "errexit" else word[:1] if "e" in word else ""
            if sign in ("+", "-"):
                state = replace(state, is_strict=sign == "-", is_lax=sign == "+")
        return state, None

    def _trap(self, words: list[str], state: State, context: int) -> Outcome:
        if {"EXIT", "0"} & set(words[2:]):
            self._at_exit.append((clean_inner(words[1]), state.functions))
        return state, None

    def _alias(self, words: list[str], state: State, context: int) -> Outcome:
        changed = {word.partition("=")[0]: None for word in words[1:] if "=" in word}
        return replace(state, functions={**state.functions, **changed}), None

    def _input(self, words: list[str], state: State, context: int) -> Outcome:
        changed = {word: unknown(f"${word}") for word in words[1:] if not word.startswith("-")}
        return _outcome(None, state.with_values(changed), context)

    def _declare(self, words: list[str], state: State, context: int) -> Outcome:
        if words[0] == "local" and self._locals:
            self._locals[-1] |= {word.partition("=")[0] for word in words[1:]}
        is_export = words[0] == "export" or any(word.startswith("-") and "x" in word for word in words)
        for word in words[1:]:
            if match := ASSIGNMENT.match(word):
                self.spend(1 + len(state.values) // 8)
                text = word[match.end() :]
                state = state.with_values({match[1]: unknown(f"${match[1]}") if "$(...)" in text else text})
            if is_export:
                state = replace(state, exported=state.exported | {word.partition("=")[0]})
        return state, None

    def _eval(self, words: list[str], state: State, context: int) -> Outcome:
        program = " ".join(words[1:])
        if not is_known(program) or self._calls >= _CALLS:
            # It may do anything, also take away what was installed.
            return _outcome(None, replace(state, is_open=True, facts=state.facts.without(lambda _: None)), context)
        self.spend(len(program) // 10)
        self._calls += 1
        outcome = self._node(shell_parse.parse(program), state, context)
        self._calls -= 1
        return outcome

    def _leave(self, words: list[str], state: State, context: int) -> Outcome:
        name = words[0]
        if name in ("break", "continue"):
            if not self._loops:
                return state, None
            level = int(words[1]) if len(words) > 1 and words[1].isdecimal() and len(words[1]) < 3 else 1
            self._loops[-min(max(level, 1), len(self._loops))].append(state)
            return None, None
        status = words[1] if len(words) > 1 else ""
        outcome: Outcome = (state, state)
        if status.isdecimal():
            outcome = (state, None) if int(status[-9:]) == 0 else (None, state)
        leaves = self._returns if name == "return" and self._returns else self._exits
        if leaves:
            leaves[-1].append(outcome)
        return None, None


def _swallows_failure(tree: shell_parse.Sequence) -> bool:
    """`pip install x; true`: whoever writes that expects a failure."""
    last = tree.items[-1][0] if tree.items else None
    return isinstance(last, shell_parse.Command) and last.words in (("true",), (":",), ("exit", "0"))


def clean_inner(program: str) -> str:
    """A program that was put together from values: an unknown part of it becomes a variable that is not known."""
    return program.replace(shell_values.BEGIN, "").replace(shell_values.END, "")


def _outcome(result: bool | None, state: State, context: int) -> Outcome:
    if result is None:
        return (state, None) if context == PLAIN and state.is_strict else (state, state)
    return (state, None) if result else (None, state)


def _by_bash(result: bool | None, state: State) -> bool | None:
    """The result of what only bash knows: dash fails with it."""
    return result if state.is_bash or result is False else None


def _only_facts(state: State | None, outer: State) -> State | None:
    return None if state is None else outer.with_facts(state.facts)


def _without(state: State | None, inner: State, outer: State) -> State | None:
    """The state without the values that were given to one command only."""
    if state is None or state is inner:
        return None if state is None else outer.with_facts(state.facts)
    kept = {name: value for name, value in state.values.items() if inner.values.get(name) != value}
    return replace(state, values={**outer.values, **kept}, exported=outer.exported | (state.exported - inner.exported))


def _constant(words: list[str], state: State, context: int) -> Outcome:
    return _outcome(words[0] != "false", state, context)


def _positional(words: list[str]) -> Mapping[str, str | None]:
    return {digit: words[at] if at < len(words) else None for at, digit in enumerate(_DIGITS)}


def _as_before(state: State | None, before: Mapping[str, str | None], local: set[str]) -> State | None:
    """The state after a function, with the arguments of the program around it."""
    if state is None:
        return None
    kept = {name: value for name, value in state.values.items() if name not in _DIGITS and name not in local}
    return replace(state, values={**kept, **before})
