"""What the words of a shell program become once variables have their values, and whether a simple test holds.

A part whose value cannot be known stays as an unknown part: two private characters around the text that is shown.
"""

import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from agent.core.pytorch.shell.words import UnreadableError, skip

BEGIN, END = "\ue000", "\ue001"  # around an unknown part
_LONGEST_PATTERN = 200  # characters; a longer pattern is not compared
_LONGEST_MATCHED = 2_000

Lookup = Callable[[str], str | None]  # the value of a variable, None where it is not set

_SPECIAL = re.compile(r"""['"\\$`]|[<>]\(""")
_LITERAL = re.compile(r"""[^'"\\$`<>]++""")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*+")
_PARAMETER = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*+)|[?!@*#$0-9-])")
_BRACED = re.compile(r"(#?)([A-Za-z_][A-Za-z0-9_]*+|[@*?#0-9])(.*)", re.DOTALL)
_UNKNOWN = re.compile(f"{BEGIN}[^{END}]*+{END}?")
_BLANK = re.compile(f"(?:{BEGIN}[^{END}]*+{END}?|[^ \t\n{BEGIN}]++)++")
_ESCAPED_IN_QUOTES = re.compile(r'\\(["\\$`\n])')
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}")


def unknown(shown: str) -> str:
    """An unknown part that is shown like this."""
    return f"{BEGIN}{''.join(shown.split())[:60]}{END}"


def is_known(value: str) -> bool:
    return BEGIN not in value


def shown(value: str) -> str:
    """The value as people read it."""
    return value.replace(BEGIN, "").replace(END, "")


def clean(text: str) -> str:
    """The text without the two characters that mean an unknown part."""
    return text.replace(BEGIN, "?").replace(END, "?")


def fields(word: str, look_up: Lookup) -> list[str]:
    """The words that one word becomes: none, one or several. Raises UnreadableError."""
    if not _SPECIAL.search(word):
        return [word]
    found: list[str] = []
    current: list[str] = []
    is_begun = False
    for text, is_quoted in _parts(word, look_up):
        if is_quoted or (is_known(text) and not _has_blanks(text)):
            current.append(text)
            is_begun = is_begun or is_quoted or bool(text)
            continue
        pieces = _BLANK.findall(text)
        if text[0] in " \t\n" and is_begun:
            found.append("".join(current))
            current, is_begun = [], False
        for piece in pieces[:-1]:
            found.append("".join((*current, piece)))
            current = []
        if pieces:
            current.append(pieces[-1])
            is_begun = True
        if text[-1] in " \t\n" and is_begun:
            found.append("".join(current))
            current, is_begun = [], False
    if is_begun:
        found.append("".join(current))
    return found


def value(word: str, look_up: Lookup) -> str:
    """The one value of a word that is not split, as in an assignment. Raises UnreadableError."""
    return "".join(text for text, _ in _parts(word, look_up)) if _SPECIAL.search(word) else word


def _has_blanks(text: str) -> bool:
    return " " in text or "\t" in text or "\n" in text


def _parts(word: str, look_up: Lookup, depth: int = 0) -> list[tuple[str, bool]]:
    """Each part with whether it stays one word whatever is in it."""
    found: list[tuple[str, bool]] = []
    at = 0
    while at < len(word):
        if match := _LITERAL.match(word, at):
            found.append((match[0], True))
            at = match.end()
            continue
        char = word[at]
        if char == "'":
            end = word.find("'", at + 1)
            if end < 0:
                raise UnreadableError("quotes that do not end")
            found.append((word[at + 1 : end], True))
            at = end + 1
        elif char == "\\":
            if word[at + 1 : at + 2] != "\n":
                found.append((word[at + 1 : at + 2], True))
            at += 2
        elif char == '"':
            end = skip(word, at)
            found.append((_double(word[at + 1 : end - 1], look_up, depth), True))
            at = end
        elif word.startswith("$'", at):
            end = word.find("'", at + 2)
            inner = word[at + 2 : end] if end > 0 else "\\"
            found.append((inner if "\\" not in inner else unknown("$'...'"), True))
            at = end + 1 if end > 0 and "\\" not in inner else len(word)
        else:
            text, at = _substitution(word, at, look_up, depth)
            found.append((text, False))
    return found


def _double(text: str, look_up: Lookup, depth: int) -> str:
    """What stands between double quotes."""
    if "$" not in text and "`" not in text:
        return _ESCAPED_IN_QUOTES.sub(lambda match: match[1].strip("\n"), text) if "\\" in text else text
    found: list[str] = []
    at = begin = 0
    while at < len(text):
        if text[at] == "\\":
            at += 2
        elif text[at] in "$`":
            found.append(_double(text[begin:at], look_up, depth) if at > begin else "")
            part, at = _substitution(text, at, look_up, depth)
            found.append(part)
            begin = at
        else:
            at += 1
    found.append(_double(text[begin:], look_up, depth) if begin < len(text) else "")
    return "".join(found)


def _substitution(text: str, at: int, look_up: Lookup, depth: int) -> tuple[str, int]:
    """What a variable or a command becomes, and where it ends. Raises UnreadableError."""
    if match := _PARAMETER.match(text, at):
        if match[1] is None:
            is_positional = match[0][1].isdecimal()
            return (look_up(match[0][1]) or "") if is_positional else unknown(match[0]), match.end()
        return look_up(match[1]) or "", match.end()
    end = skip(text, at)
    if end == at:
        return text[at], at + 1
    if text.startswith("${", at):
        return _braced(text[at + 2 : end - 1], look_up, depth), end
    if text[at] == "$" and end == at + 1:  # `$"..."`
        return "", end
    return unknown("$(...)"), end


def _braced(inner: str, look_up: Lookup, depth: int) -> str:
    """`${NAME}` and its forms. What is not one of the simple ones is unknown."""
    match = _BRACED.fullmatch(inner)
    if match is None or not _NAME.fullmatch(match[2]) or depth > 10:
        return unknown(f"${{{inner}}}")
    is_length, name, rest = match[1], match[2], match[3]
    found = look_up(name)
    if is_length or not rest:
        if not is_length:
            return found or ""
        return str(len(found or "")) if not rest and is_known(found or "") else unknown(f"${{{inner}}}")
    if choice := re.fullmatch(r"(:?)([-=+?])(.*)", rest, re.DOTALL):
        return _default(found, choice[1], choice[2], choice[3], look_up, depth)
    if found is None or not is_known(found):
        return unknown(f"${{{inner}}}") if found else ""
    return _edited(found, rest, look_up, depth)


def _default(found: str | None, colon: str, kind: str, word: str, look_up: Lookup, depth: int) -> str:
    if found and not is_known(found) and not _UNKNOWN.sub("", found):  # it may be empty, and it may not be set
        return found if kind != "+" else unknown("${...+...}")
    is_set = bool(found) if colon else found is not None
    if kind == "+":
        return _inner(word, look_up, depth) if is_set else ""
    return (found or "") if is_set else _inner(word, look_up, depth)


def _inner(word: str, look_up: Lookup, depth: int) -> str:
    return "".join(text for text, _ in _parts(word, look_up, depth + 1))


def _edited(found: str, rest: str, look_up: Lookup, depth: int) -> str:
    """`${NAME%.*}`, `${NAME//a/b}` and `${NAME:0:2}`, where they are simple."""
    shown_as = unknown("${...}")
    if part := re.fullmatch(r":\s?([0-9]{1,4})(?::([0-9]{1,4}))?", rest):
        begin = int(part[1])
        return found[begin : begin + int(part[2])] if part[2] else found[begin:]
    if part := re.fullmatch(r"(##?|%%?)(.+)", rest, re.DOTALL):
        pattern = _inner(part[2], look_up, depth)
        return _trimmed(found, part[1], pattern) if _comparable(pattern, found) else shown_as
    if part := re.fullmatch(r"(//?)([^/*?\[\\]+)(?:/(.*))?", rest, re.DOTALL):
        old, new = (_inner(text or "", look_up, depth) for text in (part[2], part[3]))
        if old and is_known(old):
            return found.replace(old, new) if part[1] == "//" else found.replace(old, new, 1)
    return shown_as


def _trimmed(found: str, kind: str, pattern: str) -> str:
    length = len(found)
    if length > 200:
        return unknown("${...}")
    ends = range(length + 1) if kind in ("#", "%%") else range(length, -1, -1)
    for end in ends:
        if kind[0] == "#" and fnmatchcase(found[:end], pattern):
            return found[end:]
        if kind[0] == "%" and fnmatchcase(found[end:], pattern):
            return found[:end]
    return found


def _comparable(pattern: str, text: str) -> bool:
    return is_known(pattern) and len(pattern) <= _LONGEST_PATTERN and len(text) <= _LONGEST_MATCHED


def matches(text: str, pattern: str) -> bool | None:
    """Whether a shell pattern matches; None where that cannot be known."""
    if pattern == "*":
        return True
    if not is_known(text) or not _comparable(pattern, text) or "(" in pattern or "[^" in pattern or "[:" in pattern:
        return None
    return fnmatchcase(text, pattern.replace("\\", ""))


# --- tests ---


def test(words: Sequence[str]) -> bool | None:
    """The result of `[ words ]`; None where it cannot be known."""
    count = len(words)
    if count == 0:
        return False
    if count == 1:
        return _is_filled(words[0])
    if count == 2:
        return _not(test(words[1:])) if words[0] == "!" else _unary(words[0], words[1])
    if count == 3 and words[1] in _COMPARISONS:
        return compare(words[0], words[1], words[2])
    if words[0] == "!" and count <= 4:
        return _not(test(words[1:]))
    if words[0] == "(" and words[-1] == ")" and ")" not in words[1:-1]:
        return test(words[1:-1])
    return _joined(words)


def _joined(words: Sequence[str]) -> bool | None:
    """`a -o b` and `a -a b`, of which `-a` binds closer."""
    for operator, combine in (("-o", either), ("-a", both)):
        places = [at for at in range(1, len(words) - 1) if words[at] == operator]
        if places and "(" not in words and "!" not in words:
            at = places[0]
            return combine(test(words[:at]), test(words[at + 1 :])) if len(words) < 40 else None
    return None


def either(one: bool | None, other: bool | None) -> bool | None:
    if one or other:
        return True
    return None if one is None or other is None else False


def both(one: bool | None, other: bool | None) -> bool | None:
    if one is False or other is False:
        return False
    return None if one is None or other is None else True


def _not(result: bool | None) -> bool | None:
    return None if result is None else not result


def _is_filled(text: str) -> bool | None:
    if _UNKNOWN.sub("", text):
        return True
    return None if text else False


def _unary(operator: str, text: str) -> bool | None:
    if operator == "-n":
        return _is_filled(text)
    if operator == "-z":
        return _not(_is_filled(text))
    return None  # files, mostly


_COMPARISONS = frozenset({"=", "==", "!=", "-eq", "-ne", "-lt", "-le", "-gt", "-ge"})


def compare(left: str, operator: str, right: str) -> bool | None:
    """The result of a comparison of `[`; None where it cannot be known."""
    if not (is_known(left) and is_known(right)):
        return None
    if operator in ("=", "=="):
        return left == right
    if operator == "!=":
        return left != right
    if operator not in _COMPARISONS or not (_NUMBER.fullmatch(left.strip()) and _NUMBER.fullmatch(right.strip())):
        return None
    one, other = int(left), int(right)
    results = {
        "-eq": one == other,
        "-ne": one != other,
        "-lt": one < other,
        "-le": one <= other,
        "-gt": one > other,
        "-ge": one >= other,
    }
    return results[operator]


def extended_test(words: Sequence[str], look_up: Lookup) -> bool | None:
    """The result of `[[ words ]]`, as written; None where it cannot be known. Raises UnreadableError."""
    result, at = _either(tuple(words[:200]), 0, look_up, 0)
    return result if at == len(words) else None


def _either(words: tuple[str, ...], at: int, look_up: Lookup, depth: int) -> tuple[bool | None, int]:
    result, at = _both(words, at, look_up, depth)
    while at < len(words) and words[at] == "||":
        other, at = _both(words, at + 1, look_up, depth)
        result = either(result, other)
    return result, at


def _both(words: tuple[str, ...], at: int, look_up: Lookup, depth: int) -> tuple[bool | None, int]:
    result, at = _primary(words, at, look_up, depth)
    while at < len(words) and words[at] == "&&":
        other, at = _primary(words, at + 1, look_up, depth)
        result = both(result, other)
    return result, at


def _primary(words: tuple[str, ...], at: int, look_up: Lookup, depth: int) -> tuple[bool | None, int]:
    if at >= len(words) or depth > 20:
        raise UnreadableError("a test is not whole")
    if words[at] == "!":
        result, at = _primary(words, at + 1, look_up, depth + 1)
        return _not(result), at
    if words[at] == "(":
        result, at = _either(words, at + 1, look_up, depth + 1)
        if at >= len(words) or words[at] != ")":
            raise UnreadableError(") is missing")
        return result, at + 1
    end = next((place for place in range(at, len(words)) if words[place] in ("&&", "||", ")")), len(words))
    return _simple_test(words[at:end], look_up), end


def _simple_test(words: tuple[str, ...], look_up: Lookup) -> bool | None:
    if len(words) == 3 and words[1] in ("=", "==", "!="):
        left, right = value(words[0], look_up), value(words[2], look_up)
        is_literal = words[2][:1] in "'\"" and words[2][-1:] in "'\""
        result = compare(left, "=", right) if is_literal else matches(left, right)
        return _not(result) if words[1] == "!=" else result
    if len(words) <= 3:
        return test([value(word, look_up) for word in words])
    return None
