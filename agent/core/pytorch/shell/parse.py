"""A shell program as a tree: what runs after what, and under which condition. Words stay as written."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from agent.core.pytorch.shell.words import DEPTH, Token, UnreadableError, tokens

LONGEST = 10_000  # characters of a program; 515 public images have lines of up to 3,500
_KEPT = 4_000  # characters of a program whose tree is kept: images that share a base share its lines
_CLOSERS = frozenset({"then", "elif", "else", "fi", "do", "done", "esac", "}"})
_NOT_READ = frozenset({"select", "coproc"})


@dataclass(frozen=True, slots=True)
class Command:
    words: tuple[str, ...]  # as written, assignments first
    input: str | None = None  # the text of a heredoc or of a here string, as written
    is_literal: bool = False  # whether that text stands as it is, without variables
    writes: bool = False  # whether its output goes to a file


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


Node = Command | Test | Pipeline | Chain | Sequence | Subshell | If | Case | For | While | Function


def parse(program: str) -> Sequence:
    """The whole program. Raises UnreadableError."""
    if len(program) > LONGEST:
        raise UnreadableError("too long")
    return _parse_kept(program) if len(program) <= _KEPT else _parse(program)


def _parse(program: str) -> Sequence:
    parser = _Parser(tokens(program))
    found = parser.sequence()
    parser.expect_end()
    return found


_parse_kept = lru_cache(maxsize=512)(_parse)


class _Parser:
    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._at = 0
        self._depth = 0

    def expect_end(self) -> None:
        if self._at < len(self._tokens):
            raise UnreadableError(f"{self._tokens[self._at].text} was not expected")

    def sequence(self) -> Sequence:
        self._depth += 1
        if self._depth > DEPTH:
            raise UnreadableError("nested too deeply")
        items: list[tuple[Node, bool]] = []
        self._skip_newlines()
        while self._begins_command():
            node = self._chain()
            is_background = self._is("&")
            items.append((node, is_background))
            if not (is_background or self._is(";") or self._is("\n")):
                if self._operator() not in (")", ";;", ";&", ";;&", "") and not self._closes():
                    raise UnreadableError("a separator is missing")
                break
            self._at += 1
            self._skip_newlines()
        self._depth -= 1
        return Sequence(tuple(items))

    # --- what comes next ---

    def _operator(self) -> str:
        token = self._tokens[self._at] if self._at < len(self._tokens) else None
        return token.text if token is not None and token.kind == "operator" else ""

    def _word(self) -> str | None:
        token = self._tokens[self._at] if self._at < len(self._tokens) else None
        return token.text if token is not None and token.kind == "word" else None

    def _is(self, operator: str) -> bool:
        return self._operator() == operator

    def _closes(self) -> bool:
        return self._word() in _CLOSERS

    def _begins_command(self) -> bool:
        if self._at >= len(self._tokens):
            return False
        return self._tokens[self._at].kind != "operator" or self._is("(") if not self._closes() else False

    def _skip_newlines(self) -> None:
        while self._is("\n"):
            self._at += 1

    def _take_word(self, *wanted: str) -> str:
        word = self._word()
        if word is None or (wanted and word not in wanted):
            raise UnreadableError(f"{' or '.join(wanted) or 'a word'} is missing")
        self._at += 1
        return word

    def _take(self, operator: str) -> None:
        if not self._is(operator):
            raise UnreadableError(f"{operator} is missing")
        self._at += 1

    # --- commands ---

    def _chain(self) -> Node:
        first = self._pipeline()
        rest: list[tuple[str, Node]] = []
        while (operator := self._operator()) in ("&&", "||"):
            self._at += 1
            self._skip_newlines()
            rest.append((operator, self._pipeline()))
        return Chain(first, tuple(rest)) if rest else first

    def _pipeline(self) -> Node:
        is_negated = False
        while self._word() == "!":
            self._at += 1
            is_negated = not is_negated
        parts = [self._command()]
        while self._operator() in ("|", "|&"):
            self._at += 1
            self._skip_newlines()
            parts.append(self._command())
        return Pipeline(tuple(parts), is_negated) if is_negated or len(parts) > 1 else parts[0]

    def _command(self) -> Node:
        word = self._word()
        if self._is("("):
            node: Node = self._subshell()
        elif word in _NOT_READ or word in _CLOSERS:
            raise UnreadableError(f"{word} was not expected")
        elif word is not None and word in _COMPOUND:
            node = _COMPOUND[word](self)
        else:
            return self._simple()
        self._redirects()
        return node

    def _redirects(self) -> tuple[str | None, bool, bool]:
        """The redirections that come next: what is read, whether it is literal, and whether the output is written."""
        text, is_literal, writes = None, False, False
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            if token.kind == "heredoc":
                text, is_literal = token.text, token.is_literal
                self._at += 1
            elif token.kind == "redirect":
                self._at += 1
                target = self._take_word()
                if token.text.endswith("<<<"):
                    text, is_literal = target, False
                writes = writes or token.text.lstrip("01").startswith((">", "&>"))
            else:
                break
        return text, is_literal, writes

    def _simple(self) -> Node:
        words: list[str] = []
        text, is_literal, writes = None, False, False
        begin = self._at
        while self._at < len(self._tokens) and self._tokens[self._at].kind != "operator":
            if (word := self._word()) is not None:
                words.append(word)
                self._at += 1
                if len(words) == 1 and self._is("("):
                    return self._function_body(word)
            else:
                more, more_literal, more_writes = self._redirects()
                text, is_literal = (more, more_literal) if more is not None else (text, is_literal)
                writes = writes or more_writes
        if self._at == begin:
            raise UnreadableError("a command is missing")
        return Command(tuple(words), text, is_literal, writes)

    def _subshell(self) -> Subshell:
        self._take("(")
        body = self.sequence()
        self._take(")")
        return Subshell(body)

    def _group(self) -> Sequence:
        self._take_word("{")
        body = self.sequence()
        self._take_word("}")
        return body

    def _test(self) -> Test:
        self._take_word("[[")
        words: list[str] = []
        while self._word() != "]]":
            if self._at >= len(self._tokens):
                raise UnreadableError("]] is missing")
            words.append(self._tokens[self._at].text)
            self._at += 1
        self._take_word("]]")
        return Test(tuple(words))

    def _if(self) -> If:
        branches: list[tuple[Sequence, Sequence]] = []
        keyword = self._take_word("if")
        while keyword in ("if", "elif"):
            condition = self.sequence()
            self._take_word("then")
            branches.append((condition, self.sequence()))
            keyword = self._take_word("elif", "else", "fi")
        otherwise = self.sequence() if keyword == "else" else None
        if otherwise is not None:
            self._take_word("fi")
        return If(tuple(branches), otherwise)

    def _while(self) -> While:
        keyword = self._take_word("while", "until")
        condition = self.sequence()
        return While(condition, self._do(), keyword == "until")

    def _do(self) -> Sequence:
        self._take_word("do")
        body = self.sequence()
        self._take_word("done")
        return body

    def _for(self) -> For:
        self._take_word("for")
        name = self._take_word()
        self._skip_newlines()
        words: list[str] | None = None
        if self._word() == "in":
            self._at += 1
            words = []
            while (word := self._word()) is not None:
                words.append(word)
                self._at += 1
        if self._is(";"):
            self._at += 1
        self._skip_newlines()
        return For(name, None if words is None else tuple(words), self._do())

    def _case(self) -> Case:
        self._take_word("case")
        word = self._take_word()
        self._skip_newlines()
        self._take_word("in")
        self._skip_newlines()
        items: list[tuple[tuple[str, ...], Sequence, str]] = []
        while self._word() != "esac":
            items.append(self._case_item())
            self._skip_newlines()
        self._take_word("esac")
        return Case(word, tuple(items))

    def _case_item(self) -> tuple[tuple[str, ...], Sequence, str]:
        if self._is("("):
            self._at += 1
        patterns = [self._take_word()]
        while self._is("|"):
            self._at += 1
            patterns.append(self._take_word())
        self._take(")")
        body = self.sequence()
        end = self._operator()
        if end in (";;", ";&", ";;&"):
            self._at += 1
        elif self._word() != "esac":
            raise UnreadableError(";; is missing")
        return tuple(patterns), body, end

    def _function(self) -> Node:
        self._take_word("function")
        name = self._take_word()
        if self._is("("):
            return self._function_body(name)
        self._skip_newlines()
        return Function(name, self._command())

    def _function_body(self, name: str) -> Function:
        self._take("(")
        self._take(")")
        self._skip_newlines()
        return Function(name, self._command())


_COMPOUND: dict[str, Callable[[_Parser], Node]] = {
    "if": _Parser._if,
    "for": _Parser._for,
    "while": _Parser._while,
    "until": _Parser._while,
    "case": _Parser._case,
    "{": _Parser._group,
    "[[": _Parser._test,
    "function": _Parser._function,
}
