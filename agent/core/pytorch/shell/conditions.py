"""The result of a simple test, `[ words ]` or `[[ words ]]`: True, False, or None if it is unknown."""

import re
from collections.abc import Sequence

from agent.core.pytorch.shell.expansion import value
from agent.core.pytorch.shell.patterns import matches
from agent.core.pytorch.shell.unknown import BEGIN, END, Lookup, is_known
from agent.core.pytorch.shell.words import UnreadableError

_UNKNOWN = re.compile(f"{BEGIN}[^{END}]*+{END}?")
_WORDS = re.compile(r"(\^?)(?:\(([A-Za-z0-9_-]{1,40}(?:\|[A-Za-z0-9_-]{1,40}){0,20})\)|([A-Za-z0-9_-]{1,40}))(\$?)")
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}")


def test(words: Sequence[str]) -> bool | None:
    """The result of `[ words ]`; None if it is unknown."""
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
    """The result of `a -o b` or `a -a b`. `-a` binds more tightly."""
    for operator, combine in (("-o", either), ("-a", both)):
        places = [at for at in range(1, len(words) - 1) if words[at] == operator]
        if places and "(" not in words and "!" not in words:
            at = places[0]
            return combine(test(words[:at]), test(words[at + 1 :])) if len(words) < 40 else None
    return None


def either(one: bool | None, other: bool | None) -> bool | None:
    """`one or other`, where None is unknown."""
    if one or other:
        return True
    return None if one is None or other is None else False


def both(one: bool | None, other: bool | None) -> bool | None:
    """`one and other`, where None is unknown."""
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
    return None  # mostly tests of files


_COMPARISONS = frozenset({"=", "==", "!=", "-eq", "-ne", "-lt", "-le", "-gt", "-ge"})


def compare(left: str, operator: str, right: str) -> bool | None:
    """The result of a comparison in `[`; None if it is unknown."""
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
    """The result of `[[ words ]]`; None if it is unknown. The words are as written. Raises UnreadableError."""
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
        raise UnreadableError("a test is incomplete")
    if words[at] == "!":
        result, at = _primary(words, at + 1, look_up, depth + 1)
        return _not(result), at
    if words[at] == "(":
        result, at = _either(words, at + 1, look_up, depth + 1)
        if at >= len(words) or words[at] != ")":
            raise UnreadableError(") is missing")
        return result, at + 1
    if words[at + 1 : at + 2] == ("=~",):
        end = next((place for place in range(at, len(words)) if words[place] in ("&&", "||")), len(words))
        return _has(value(words[at], look_up), "".join(words[at + 2 : end])), end
    end = next((place for place in range(at, len(words)) if words[place] in ("&&", "||", ")")), len(words))
    return _simple_test(words[at:end], look_up), end


def _has(text: str, pattern: str) -> bool | None:
    """Whether a text matches a regular expression that consists of words only: `^(yes|true)$`; None for any other."""
    match = _WORDS.fullmatch(pattern)
    if match is None or not is_known(text):
        return None
    begins, ends = bool(match[1]), bool(match[4])
    for word in (match[2] or match[3]).split("|"):
        at_begin, at_end = text.startswith(word), text.endswith(word)
        if text == word if begins and ends else at_begin if begins else at_end if ends else word in text:
            return True
    return False


def _simple_test(words: tuple[str, ...], look_up: Lookup) -> bool | None:
    if len(words) == 3 and words[1] in ("=", "==", "!="):
        left, right = value(words[0], look_up), value(words[2], look_up)
        is_literal = words[2][:1] in "'\"" and words[2][-1:] in "'\""
        result = compare(left, "=", right) if is_literal else matches(left, right)
        return _not(result) if words[1] == "!=" else result
    if len(words) <= 3:
        return test([value(word, look_up) for word in words])
    return None
