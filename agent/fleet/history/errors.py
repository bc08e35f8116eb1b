"""The errors of the history's database."""


class HistoryError(Exception):
    """The database cannot be used as it is configured; the message names `monitor.database` and says what to do."""


class HistoryTooNew(HistoryError):
    """The database was written by a newer torchkeeper; nothing was changed."""


class HistoryUnavailable(Exception):
    """The database does not answer now, or its disk is full. What was not committed can be tried again.

    A commit during which the connection ended may have succeeded. Committing the same batch again is safe.
    """
