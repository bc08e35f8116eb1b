"""Find the programs inside the words of another program: `$(program)`, `` `program` `` and `<(program)`."""

import re
from collections.abc import Iterable, Iterator

from agent.core.pytorch.shell.words import skip

_BEGINS = re.compile(r"[`$<>]")
_SPECIAL = re.compile(r"""[\\'"`$<>]""")
_ANSI_QUOTED = re.compile(r"""\$'(?:[^'\\]++|\\.)*+'""", re.DOTALL)
_ESCAPED = re.compile(r"\\([`$\\])")


def of_words(words: Iterable[str]) -> tuple[str, ...]:
    """The programs in all words, in the order in which they run. Raises UnreadableError."""
    return tuple(program for word in words if _BEGINS.search(word) for program in _programs(word))


def of_text(text: str) -> tuple[str, ...]:
    """The programs in a heredoc, where single quotes have no meaning. Raises UnreadableError."""
    return tuple(_programs(text.replace("'", " "))) if "$(" in text or "`" in text else ()


def _programs(word: str) -> Iterator[str]:
    at, is_quoted = 0, False
    while match := _SPECIAL.search(word, at):
        at, char = match.start(), match[0]
        if char == "\\":
            at += 2
        elif char == '"':
            at, is_quoted = at + 1, not is_quoted
        elif char == "'":
            end = at if is_quoted else word.find("'", at + 1)
            at = end + 1 if end >= 0 else len(word)
        elif char == "`":
            end = skip(word, at)
            yield _ESCAPED.sub(r"\1", word[at + 1 : end - 1])
            at = end
        elif word.startswith("(", at + 1):
            end = skip(word, at)
            yield word[at + 2 : end - 1]
            at = end
        else:
            quoted = None if is_quoted else _ANSI_QUOTED.match(word, at)
            at = quoted.end() if quoted else at + 1
