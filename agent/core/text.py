"""Makes names and messages from outside safe for a terminal, a page, a file or an error message."""

from collections.abc import Iterable, Sequence

MOST_LISTED = 4  # names in one sentence; of the others only the number is shown
LONGEST_SHOWN = 100  # characters of a name in a sentence
LONGEST_QUOTED = 80  # characters; a label or a line of the configuration may have megabytes


def clean(text: str) -> str:
    """Replace characters that a terminal would execute instead of showing: controls and directions, not newlines."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)


def one_line(text: str) -> str:
    """Like `clean`, with newlines replaced by spaces."""
    return clean(text).replace("\n", " ")


def writable(text: object) -> str:
    """The text with lone surrogates replaced, which neither SQLite nor MQTT accepts."""
    return str(text).encode(errors="replace").decode()


def shortened(text: str, longest: int) -> str:
    """The text; if it has more than `longest` characters, its beginning with "…"."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def quoted(value: object) -> str:
    """A value for an error message: its `repr`, printable and of bounded length."""
    if isinstance(value, int) and value.bit_length() > 4 * LONGEST_QUOTED:  # Python refuses to format a long one
        return "a number of hundreds of digits"
    return shortened(repr(value[:LONGEST_QUOTED] if isinstance(value, str) else value), LONGEST_QUOTED)


def shown(reference: str) -> str:
    """A name for a sentence: one printable line of bounded length."""
    line = clean(reference[: LONGEST_SHOWN + 1]).replace("\n", "\N{REPLACEMENT CHARACTER}")
    return line if len(line) <= LONGEST_SHOWN else line[: LONGEST_SHOWN - 1] + "…"


def listed(references: Iterable[str]) -> str:
    """The names as part of a sentence, sorted: `a:1, b:2 and 7 more`; "" if there are none."""
    ordered = sorted(set(references))
    first = ", ".join(shown(reference) for reference in ordered[:MOST_LISTED])
    return first + (f" and {len(ordered) - MOST_LISTED} more" if len(ordered) > MOST_LISTED else "")


def joined(parts: Sequence[str]) -> str:
    """The parts as a list in a sentence: `a`, `a and b`, `a, b and c`. There must be at least one."""
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
