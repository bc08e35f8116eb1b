"""What stops the demo, as one sentence for people."""


class Trouble(Exception):
    """The demo cannot go on; the message says what is missing or failed, and the way out."""

    code = 1


class WrongUse(Trouble):
    """The command was used wrongly."""

    code = 2
