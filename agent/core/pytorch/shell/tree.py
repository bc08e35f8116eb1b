"""The tree of a shell program: what runs after what, and under which condition. Words stay as written."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    words: tuple[str, ...]  # as written, assignments first
    input: str | None = None  # the text of a heredoc or of a here string, as written
    is_literal: bool = False  # whether that text stands as it is, without variables
    writes: bool = False  # whether its output goes to a file
    programs: tuple[str, ...] = ()  # those within its words and its text: `$(program)`


@dataclass(frozen=True, slots=True)
class Substitutions:
    programs: tuple[str, ...]  # those within the words of the compound command that comes next


@dataclass(frozen=True, slots=True)
class Test:
    words: tuple[str, ...]  # between `[[` and `]]`, operators too


@dataclass(frozen=True, slots=True)
class Pipeline:
    parts: "tuple[Node, ...]"
    is_negated: bool


@dataclass(frozen=True, slots=True)
class Chain:
    first: "Node"
    rest: "tuple[tuple[str, Node], ...]"  # each with its `&&` or `||`


@dataclass(frozen=True, slots=True)
class Sequence:
    items: "tuple[tuple[Node, bool], ...]"  # each with whether it runs in the background


@dataclass(frozen=True, slots=True)
class Subshell:
    body: Sequence


@dataclass(frozen=True, slots=True)
class If:
    branches: tuple[tuple[Sequence, Sequence], ...]
    otherwise: Sequence | None


@dataclass(frozen=True, slots=True)
class Case:
    word: str
    items: tuple[tuple[tuple[str, ...], Sequence, str], ...]  # patterns, what they run, what ends it


@dataclass(frozen=True, slots=True)
class For:
    name: str
    words: tuple[str, ...] | None  # None: those that the program was given
    body: Sequence


@dataclass(frozen=True, slots=True)
class While:
    condition: Sequence
    body: Sequence
    is_until: bool


@dataclass(frozen=True, slots=True)
class Function:
    name: str
    body: "Node"


Node = Command | Substitutions | Test | Pipeline | Chain | Sequence | Subshell | If | Case | For | While | Function
