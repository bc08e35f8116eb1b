"""The nodes of a shell program's tree. Words are stored as written, without expansion."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    words: tuple[str, ...]  # as written, assignments first
    input: str | None = None  # the text of a heredoc or of a here string, as written
    is_literal: bool = False  # whether that text is used unchanged, without expanding variables
    writes: bool = False  # whether its output goes to a file
    programs: tuple[str, ...] = ()  # the programs in its words and its text: `$(program)`


@dataclass(frozen=True, slots=True)
class Substitutions:
    programs: tuple[str, ...]  # the programs in the words of the compound command that follows


@dataclass(frozen=True, slots=True)
class Test:
    words: tuple[str, ...]  # the words between `[[` and `]]`, operators included


@dataclass(frozen=True, slots=True)
class Pipeline:
    parts: "tuple[Node, ...]"
    is_negated: bool


@dataclass(frozen=True, slots=True)
class Chain:
    first: "Node"
    rest: "tuple[tuple[str, Node], ...]"  # each with the `&&` or `||` before it


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
    items: tuple[tuple[tuple[str, ...], Sequence, str], ...]  # patterns, body, terminator (`;;`, `;&`, `;;&`)


@dataclass(frozen=True, slots=True)
class For:
    name: str
    words: tuple[str, ...] | None  # None: the program's arguments
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
