"""Names and messages from strangers, made fit for a terminal, a page, a file or an error."""

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
