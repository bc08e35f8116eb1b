"""Makes names and messages from outside safe for a terminal, a page, a file or an error message."""

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
