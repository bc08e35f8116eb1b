"""Split a shell program into words and operators, as POSIX sh and bash do. The time is linear in the length."""

import re
from typing import NamedTuple

DEPTH = 40  # the deepest nesting that is read: substitutions here, compound commands in `parse`

_NO_WORD = frozenset(" \t\r\f\v\n\\;&|()<>#0123456789")  # characters that may begin something other than a word
_ENDS_WORD = frozenset(("", *" \t\n;&|)"))
_BLANK = re.compile(r"(?:[ \t\r\f\v]|\\\n)++")
_OPERATOR = re.compile(r"&&|\|\||;;&|;;|;&|\|&|[;&|()\n]")
_REDIRECT = re.compile(r"[0-9]{0,3}(?:<<<|<<-?|<>|<&|<(?!\()|>>|>&|>\||>(?!\())|&>>?")
_PROCESS = re.compile(r"[<>]\(")
# Plain characters, quotes, escaped characters and variables. The alternatives exclude each other, so this is linear.
_SIMPLE = re.compile(
    r"""(?:[^\s;&|<>()'"\\$`]++|'[^']*+'|\\.|"(?:[^"\\$`]++|\\.|\$(?![({]))*+"|\$(?![({'"])|\$'(?:[^'\\]++|\\.)*+')++""",
    re.DOTALL,
)
_INSIDE_DOUBLE = re.compile(r"""(?:[^"\\$`]++|\\.|\$(?![({]))++""", re.DOTALL)
_INSIDE_PARENTHESES = re.compile(r"""(?:[^()'"\\`]++|\\.|'[^']*+')++""", re.DOTALL)
_INSIDE_BRACES = re.compile(r"""(?:[^{}'"\\`$]++|\\.|'[^']*+'|\$(?![({]))++""", re.DOTALL)
_BACKQUOTED = re.compile(r"`(?:[^`\\]++|\\.)*+`", re.DOTALL)
_COMMENT = re.compile(r"#[^\n]*+")
_QUOTES = re.compile(r"""['"\\]""")


class UnreadableError(Exception):
    """The text is not a shell program, or is nested too deeply."""


class Token(NamedTuple):
    """A word, an operator, a redirection or a heredoc."""

    kind: str  # word, operator, redirect, heredoc
    text: str  # as written; for a heredoc, its body
    is_literal: bool = False  # True for a heredoc whose delimiter is quoted


def tokens(text: str) -> list[Token]:
    """All words and operators. Raises UnreadableError."""
    return _Lexer(text).read()


class _Lexer:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._found: list[Token] = []
        self._waiting: list[tuple[int, str, bool]] = []  # heredocs whose body begins after this line

    def read(self) -> list[Token]:
        text, result = self._text, self._found
        while self._at < len(text):
            if text[self._at] not in _NO_WORD:
                result.append(Token("word", self._word()))
            elif match := _BLANK.match(text, self._at):
                self._at = match.end()
            elif match := _REDIRECT.match(text, self._at):
                self._at = match.end()
                self._redirect(match[0])
            elif match := _OPERATOR.match(text, self._at):
                self._at = match.end()
                result.append(Token("operator", match[0]))
                if match[0] == "\n":
                    self._bodies()
            elif match := _COMMENT.match(text, self._at):
                self._at = match.end()
            else:
                result.append(Token("word", self._word()))
        self._bodies()
        return result

    def _redirect(self, operator: str) -> None:
        if "<<" not in operator or "<<<" in operator:
            self._found.append(Token("redirect", operator))
            return
        if match := _BLANK.match(self._text, self._at):
            self._at = match.end()
        word = self._word() if self._at < len(self._text) else ""
        if not word:
            raise UnreadableError("a heredoc without a delimiter")
        delimiter = _QUOTES.sub("", word)
        self._waiting.append((len(self._found), delimiter, delimiter != word))
        self._found.append(Token("heredoc", "-" if operator.endswith("-") else ""))

    def _bodies(self) -> None:
        for index, delimiter, is_literal in self._waiting:
            strip = self._found[index].text == "-"
            lines: list[str] = []
            while self._at < len(self._text):
                end = self._text.find("\n", self._at)
                end = len(self._text) if end < 0 else end
                line = self._text[self._at : end]
                self._at = end + 1
                line = line.lstrip("\t") if strip else line
                if line == delimiter:
                    break
                lines.append(line)
            self._found[index] = Token("heredoc", "\n".join(lines), is_literal)
        self._waiting.clear()

    def _word(self) -> str:
        begin = self._at
        match = _SIMPLE.match(self._text, begin)
        if match is not None and self._text[match.end() : match.end() + 1] in _ENDS_WORD:
            self._at = match.end()
            return match[0]
        while self._at < len(self._text):
            if match := _SIMPLE.match(self._text, self._at):
                self._at = match.end()
            elif (end := skip(self._text, self._at)) > self._at:
                self._at = end
            elif self._text[self._at] == "(" and self._text[begin : self._at].endswith("="):  # an array
                self._at = _skip_parentheses(self._text, self._at, 0)
            else:
                break
        if self._at == begin:
            raise UnreadableError(f"no word begins with {self._text[begin]!r}")
        return self._text[begin : self._at]


def skip(text: str, at: int, depth: int = 0) -> int:
    """Where the quotes or the substitution that begin at `at` end; `at` if none begin there. Raises UnreadableError."""
    if depth > DEPTH:
        raise UnreadableError("nested too deeply")
    if text[at] == '"':
        return _skip_to(text, at + 1, '"', _INSIDE_DOUBLE, depth)
    if text[at] == "`":
        return _end(_BACKQUOTED.match(text, at))
    if text.startswith("$(", at) or _PROCESS.match(text, at):
        return _skip_parentheses(text, at + 1, depth)
    if text.startswith("${", at):
        return _skip_to(text, at + 2, "}", _INSIDE_BRACES, depth)
    if text.startswith('$"', at):
        return at + 1
    if text[at] in "'\\":
        raise UnreadableError("quotes that do not end")
    return at


def _end(match: re.Match[str] | None) -> int:
    if match is None:
        raise UnreadableError("quotes that do not end")
    return match.end()


def _skip_to(text: str, at: int, close: str, inside: re.Pattern[str], depth: int) -> int:
    while at < len(text):
        if text[at] == close:
            return at + 1
        if match := inside.match(text, at):
            at = match.end()
        elif (end := skip(text, at, depth + 1)) > at:
            at = end
        else:
            at += 1
    raise UnreadableError(f"{close} is missing")


def _skip_parentheses(text: str, at: int, depth: int) -> int:
    level = 0
    while at < len(text):
        if text[at] == "(":
            level, at = level + 1, at + 1
        elif text[at] == ")":
            level, at = level - 1, at + 1
            if not level:
                return at
        elif match := _INSIDE_PARENTHESES.match(text, at):
            at = match.end()
        else:
            at = skip(text, at, depth + 1)
    raise UnreadableError(") is missing")
