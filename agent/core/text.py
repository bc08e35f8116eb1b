"""Names and messages from strangers, made fit for a terminal, a page, a file or an error."""

from collections.abc import Iterable, Sequence

MOST_LISTED = 4  # names in one sentence; the others are counted
LONGEST_SHOWN = 100  # characters of a name in a sentence
LONGEST_QUOTED = 80  # characters; a label or a line of the configuration may hold megabytes


def clean(text: str) -> str:
    """Replace what a terminal would obey instead of show: control and direction characters, but for newlines."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)


def one_line(text: str) -> str:
    """The same, on one line."""
    return clean(text).replace("\n", " ")


def writable(text: object) -> str:
    """The text without halves of surrogate pairs, which neither SQLite nor MQTT take."""
    return str(text).encode(errors="replace").decode()


def shortened(text: str, longest: int) -> str:
    """The text, or its beginning with "…" where it has more than `longest` characters."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def quoted(value: object) -> str:
    """A value as an error names it: as Python writes it, printable and of bounded length."""
    if isinstance(value, int) and value.bit_length() > 4 * LONGEST_QUOTED:  # Python refuses to write a long one
        return "a number of hundreds of digits"
    return shortened(repr(value[:LONGEST_QUOTED] if isinstance(value, str) else value), LONGEST_QUOTED)


def shown(reference: str) -> str:
    """A name for a sentence: one printable line of bounded length."""
    line = clean(reference[: LONGEST_SHOWN + 1]).replace("\n", "\N{REPLACEMENT CHARACTER}")
    return line if len(line) <= LONGEST_SHOWN else line[: LONGEST_SHOWN - 1] + "…"


def listed(references: Iterable[str]) -> str:
    """Names for a sentence, sorted: `a:1, b:2 and 7 more`; "" for none."""
    ordered = sorted(set(references))
    first = ", ".join(shown(reference) for reference in ordered[:MOST_LISTED])
    return first + (f" and {len(ordered) - MOST_LISTED} more" if len(ordered) > MOST_LISTED else "")


def joined(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`; the parts are not empty."""
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
