"""The nodes of a shell program's tree. Words are stored as written, without expansion."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """A simple command, with its assignments and redirections: `A=1 pip install torch >log`."""

    words: tuple[str, ...]  # as written, assignments first
    input: str | None = None  # the text of a heredoc or of a here string, as written
    is_literal: bool = False  # whether that text is used unchanged, without expanding variables
    writes: bool = False  # whether its output goes to a file
    programs: tuple[str, ...] = ()  # the programs in its words and its text: `$(program)`


@dataclass(frozen=True, slots=True)
class Substitutions:
    """The programs that a shell runs to expand the words of a compound command."""

    programs: tuple[str, ...]  # the programs in the words of the compound command that follows


@dataclass(frozen=True, slots=True)
class Test:
    """`[[ words ]]`."""

    words: tuple[str, ...]  # the words between `[[` and `]]`, operators included


@dataclass(frozen=True, slots=True)
class Pipeline:
    """`a | b`, or `! a`."""

    parts: "tuple[Node, ...]"
    is_negated: bool


@dataclass(frozen=True, slots=True)
class Chain:
    """`a && b || c`."""

    first: "Node"
    rest: "tuple[tuple[str, Node], ...]"  # each with the `&&` or `||` before it


@dataclass(frozen=True, slots=True)
class Sequence:
    """`a; b & c`."""

    items: "tuple[tuple[Node, bool], ...]"  # each with whether it runs in the background


@dataclass(frozen=True, slots=True)
class Subshell:
    """`(a; b)`."""

    body: Sequence


@dataclass(frozen=True, slots=True)
class If:
    """`if a; then b; elif c; then d; else e; fi`."""

    branches: tuple[tuple[Sequence, Sequence], ...]
    otherwise: Sequence | None


@dataclass(frozen=True, slots=True)
class Case:
    """`case word in pattern) body ;; esac`."""

    word: str
    items: tuple[tuple[tuple[str, ...], Sequence, str], ...]  # patterns, body, terminator (`;;`, `;&`, `;;&`)


@dataclass(frozen=True, slots=True)
class For:
    """`for name in words; do body; done`."""

    name: str
    words: tuple[str, ...] | None  # None: the program's arguments
    body: Sequence


@dataclass(frozen=True, slots=True)
class While:
    """`while a; do b; done`, or `until a; do b; done`."""

    condition: Sequence
    body: Sequence
    is_until: bool


@dataclass(frozen=True, slots=True)
class Function:
    """`name() { body; }`."""

    name: str
    body: "Node"


Node = Command | Substitutions | Test | Pipeline | Chain | Sequence | Subshell | If | Case | For | While | Function
