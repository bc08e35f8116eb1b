"""The errors that stop the demo, each with one sentence for people."""


class DemoError(Exception):
    """The demo cannot continue; the message says what is missing or failed, and what to do."""

    code = 1


class DemoUsageError(DemoError):
    """The command was used wrongly."""

    code = 2
