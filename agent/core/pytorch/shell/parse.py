"""Parse a shell program into a tree."""

from collections.abc import Callable
from functools import lru_cache

from agent.core.pytorch.shell import substitutions
from agent.core.pytorch.shell.token_reader import TokenReader
from agent.core.pytorch.shell.tree import (
    Case,
    Chain,
    Command,
    For,
    Function,
    If,
    Node,
    Pipeline,
    Sequence,
    Subshell,
    Substitutions,
    Test,
    While,
)
from agent.core.pytorch.shell.words import DEPTH, Token, UnreadableError, tokens

LONGEST = 10_000  # characters of a program; 515 public images have lines of up to 3,500
_KEPT = 4_000  # characters of a program whose tree is cached: images with the same base share its lines
_NOT_READ = frozenset({"select", "coproc"})


def parse(program: str) -> Sequence:
    """The tree of the whole program. Raises UnreadableError."""
    if len(program) > LONGEST:
        raise UnreadableError("too long")
    return _parse_kept(program) if len(program) <= _KEPT else _parse(program)


def _parse(program: str) -> Sequence:
    parser = _Parser(tokens(program))
    tree = parser.sequence()
    parser.expect_end()
    return tree


_parse_kept = lru_cache(maxsize=512)(_parse)


class _Parser(TokenReader):
    def __init__(self, all_tokens: list[Token]) -> None:
        super().__init__(all_tokens)
        self._depth = 0

    def sequence(self) -> Sequence:
        self._depth += 1
        if self._depth > DEPTH:
            raise UnreadableError("nested too deeply")
        items: list[tuple[Node, bool]] = []
        self.skip_newlines()
        while self.begins_command():
            node = self._chain()
            is_background = self.sees("&")
            items.append((node, is_background))
            if not (is_background or self.sees(";") or self.sees("\n")):
                if self.operator() not in (")", ";;", ";&", ";;&", "") and not self.closes():
                    raise UnreadableError("a separator is missing")
                break
            self.advance()
            self.skip_newlines()
        self._depth -= 1
        return Sequence(tuple(items))

    def _chain(self) -> Node:
        first = self._pipeline()
        rest: list[tuple[str, Node]] = []
        while (operator := self.operator()) in ("&&", "||"):
            self.advance()
            self.skip_newlines()
            rest.append((operator, self._pipeline()))
        return Chain(first, tuple(rest)) if rest else first

    def _pipeline(self) -> Node:
        is_negated = False
        while self.word() == "!":
            self.advance()
            is_negated = not is_negated
        parts = [self._command()]
        while self.operator() in ("|", "|&"):
            self.advance()
            self.skip_newlines()
            parts.append(self._command())
        return Pipeline(tuple(parts), is_negated) if is_negated or len(parts) > 1 else parts[0]

    def _command(self) -> Node:
        word = self.word()
        if self.sees("("):
            node: Node = self._subshell()
        elif word in _NOT_READ or self.closes():
            raise UnreadableError(f"{word} was not expected")
        elif word is not None and word in _COMPOUND:
            node = _COMPOUND[word](self)
        else:
            return self._simple()
        self.redirects()
        programs = substitutions.of_words(_expanded(node))
        return Sequence(((Substitutions(programs), False), (node, False))) if programs else node

    def _simple(self) -> Node:
        words: list[str] = []
        text, is_literal, writes = None, False, False
        begin = self._at
        while (token := self.peek()) is not None and token.kind != "operator":
            if (word := self.word()) is not None:
                words.append(word)
                self.advance()
                if len(words) == 1 and self.sees("("):
                    return self._function_body(word)
            else:
                more, more_literal, more_writes = self.redirects()
                text, is_literal = (more, more_literal) if more is not None else (text, is_literal)
                writes = writes or more_writes
        if self._at == begin:
            raise UnreadableError("a command is missing")
        programs = substitutions.of_words(words)
        if text is not None and not is_literal:
            programs += substitutions.of_text(text)
        return Command(tuple(words), text, is_literal, writes, programs)

    def _subshell(self) -> Subshell:
        self.take("(")
        body = self.sequence()
        self.take(")")
        return Subshell(body)

    def _group(self) -> Sequence:
        self.take_word("{")
        body = self.sequence()
        self.take_word("}")
        return body

    def _test(self) -> Test:
        self.take_word("[[")
        words: list[str] = []
        while self.word() != "]]":
            if (token := self.peek()) is None:
                raise UnreadableError("]] is missing")
            words.append(token.text)
            self.advance()
        self.take_word("]]")
        return Test(tuple(words))

    def _if(self) -> If:
        branches: list[tuple[Sequence, Sequence]] = []
        keyword = self.take_word("if")
        while keyword in ("if", "elif"):
            condition = self.sequence()
            self.take_word("then")
            branches.append((condition, self.sequence()))
            keyword = self.take_word("elif", "else", "fi")
        otherwise = self.sequence() if keyword == "else" else None
        if otherwise is not None:
            self.take_word("fi")
        return If(tuple(branches), otherwise)

    def _while(self) -> While:
        keyword = self.take_word("while", "until")
        condition = self.sequence()
        return While(condition, self._do(), keyword == "until")

    def _do(self) -> Sequence:
        self.take_word("do")
        body = self.sequence()
        self.take_word("done")
        return body

    def _for(self) -> For:
        self.take_word("for")
        name = self.take_word()
        self.skip_newlines()
        words: list[str] | None = None
        if self.word() == "in":
            self.advance()
            words = []
            while (word := self.word()) is not None:
                words.append(word)
                self.advance()
        if self.sees(";"):
            self.advance()
        self.skip_newlines()
        return For(name, None if words is None else tuple(words), self._do())

    def _case(self) -> Case:
        self.take_word("case")
        word = self.take_word()
        self.skip_newlines()
        self.take_word("in")
        self.skip_newlines()
        items: list[tuple[tuple[str, ...], Sequence, str]] = []
        while self.word() != "esac":
            items.append(self._case_item())
            self.skip_newlines()
        self.take_word("esac")
        return Case(word, tuple(items))

    def _case_item(self) -> tuple[tuple[str, ...], Sequence, str]:
        if self.sees("("):
            self.advance()
        patterns = [self.take_word()]
        while self.sees("|"):
            self.advance()
            patterns.append(self.take_word())
        self.take(")")
        body = self.sequence()
        end = self.operator()
        if end in (";;", ";&", ";;&"):
            self.advance()
        elif self.word() != "esac":
            raise UnreadableError(";; is missing")
        return tuple(patterns), body, end

    def _function(self) -> Node:
        self.take_word("function")
        name = self.take_word()
        if self.sees("("):
            return self._function_body(name)
        self.skip_newlines()
        return Function(name, self._command())

    def _function_body(self, name: str) -> Function:
        self.take("(")
        self.take(")")
        self.skip_newlines()
        return Function(name, self._command())


def _expanded(node: Node) -> tuple[str, ...]:
    """The words of a compound command itself, without those of the commands in it."""
    if isinstance(node, For):
        return node.words or ()
    if isinstance(node, Case):
        return (node.word,)
    return node.words if isinstance(node, Test) else ()


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
