"""Names and messages from strangers, made fit for a terminal or a page."""


def clean(text: str) -> str:
    """Replace what a terminal would obey instead of show: control and direction characters, but for newlines."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)
