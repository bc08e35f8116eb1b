"""What stops the demo, as one sentence for people."""


class DemoError(Exception):
    """The demo cannot go on; the message says what is missing or failed, and the way out."""

    code = 1


class DemoUsageError(DemoError):
    """The command was used wrongly."""

    code = 2
