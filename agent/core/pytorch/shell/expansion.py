"""Expand the words of a shell program: replace variables and substitutions by their values."""

import re

from agent.core.pytorch.shell import parameters
from agent.core.pytorch.shell.unknown import BEGIN, END, Lookup, is_known, unknown
from agent.core.pytorch.shell.words import UnreadableError, skip

_SPECIAL = re.compile(r"""['"\\$`]|[<>]\(""")
_LITERAL = re.compile(r"""[^'"\\$`<>]++""")
_PARAMETER = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*+)|[?!@*#$0-9-])")
_BLANK = re.compile(f"(?:{BEGIN}[^{END}]*+{END}?|[^ \t\n{BEGIN}]++)++")
_ESCAPED_IN_QUOTES = re.compile(r'\\(["\\$`\n])')


def fields(word: str, look_up: Lookup) -> list[str]:
    """Expand one word to none, one or several words. Raises UnreadableError."""
    if not _SPECIAL.search(word):
        return [word]
    expanded: list[str] = []
    current: list[str] = []
    is_begun = False
    for text, is_quoted in _parts(word, look_up):
        if is_quoted or (is_known(text) and not _has_blanks(text)):
            current.append(text)
            is_begun = is_begun or is_quoted or bool(text)
            continue
        pieces = _BLANK.findall(text)
        if text[0] in " \t\n" and is_begun:
            expanded.append("".join(current))
            current, is_begun = [], False
        for piece in pieces[:-1]:
            expanded.append("".join((*current, piece)))
            current = []
        if pieces:
            current.append(pieces[-1])
            is_begun = True
        if text[-1] in " \t\n" and is_begun:
            expanded.append("".join(current))
            current, is_begun = [], False
    if is_begun:
        expanded.append("".join(current))
    return expanded


def value(word: str, look_up: Lookup) -> str:
    """Expand a word without splitting it, as in an assignment. Raises UnreadableError."""
    return "".join(text for text, _ in _parts(word, look_up)) if _SPECIAL.search(word) else word


def _has_blanks(text: str) -> bool:
    return " " in text or "\t" in text or "\n" in text


def _parts(word: str, look_up: Lookup, depth: int = 0) -> list[tuple[str, bool]]:
    """The expanded parts of a word; True for each part that is not split into words."""
    expanded: list[tuple[str, bool]] = []
    at = 0
    while at < len(word):
        if match := _LITERAL.match(word, at):
            expanded.append((match[0], True))
            at = match.end()
            continue
        char = word[at]
        if char == "'":
            end = word.find("'", at + 1)
            if end < 0:
                raise UnreadableError("quotes that do not end")
            expanded.append((word[at + 1 : end], True))
            at = end + 1
        elif char == "\\":
            if word[at + 1 : at + 2] != "\n":
                expanded.append((word[at + 1 : at + 2], True))
            at += 2
        elif char == '"':
            end = skip(word, at)
            expanded.append((_double(word[at + 1 : end - 1], look_up, depth), True))
            at = end
        elif word.startswith("$'", at):
            end = word.find("'", at + 2)
            inner = word[at + 2 : end] if end > 0 else "\\"
            expanded.append((inner if "\\" not in inner else unknown("$'...'"), True))
            at = end + 1 if end > 0 and "\\" not in inner else len(word)
        else:
            text, at = _substitution(word, at, look_up, depth)
            expanded.append((text, False))
    return expanded


def _double(text: str, look_up: Lookup, depth: int) -> str:
    """Expand the text between double quotes."""
    if "$" not in text and "`" not in text:
        return _unescaped(text)
    expanded: list[str] = []
    at = begin = 0
    while at < len(text):
        if text[at] == "\\":
            at += 2
        elif text[at] in "$`":
            expanded.append(_unescaped(text[begin:at]))
            part, at = _substitution(text, at, look_up, depth)
            expanded.append(part)
            begin = at
        else:
            at += 1
    return "".join((*expanded, _unescaped(text[begin:])))


def _unescaped(text: str) -> str:
    return _ESCAPED_IN_QUOTES.sub(lambda match: match[1].strip("\n"), text) if "\\" in text else text


def _substitution(text: str, at: int, look_up: Lookup, depth: int) -> tuple[str, int]:
    """The value of the variable or command that begins at `at`, and where it ends. Raises UnreadableError."""
    if match := _PARAMETER.match(text, at):
        if match[1] is None:
            is_positional = match[0][1].isdecimal()
            return (look_up(match[0][1]) or "") if is_positional else unknown(match[0]), match.end()
        return look_up(match[1]) or "", match.end()
    end = skip(text, at)
    if end == at:
        return text[at], at + 1
    if text.startswith("${", at):
        inner = text[at + 2 : end - 1]
        if depth > 10:
            return unknown(f"${{{inner}}}"), end
        return parameters.braced(inner, look_up, lambda part: _inner(part, look_up, depth)), end
    if text[at] == "$" and end == at + 1:  # `$"..."`
        return "", end
    output = look_up(text[at:end]) if text.startswith("$(", at) else None
    return unknown("$(...)") if output is None else output, end


def _inner(word: str, look_up: Lookup, depth: int) -> str:
    return "".join(text for text, _ in _parts(word, look_up, depth + 1))
