"""The errors of the state folder and its files."""


class StateError(Exception):
    """The state folder cannot be used; the message says why and what to do."""


class StateDamaged(StateError):
    """The state file is not an intact database."""


class StateTooNew(StateError):
    """The state file was written by a newer torchkeeper; nothing was changed."""


class StateFull(StateError):
    """The disk under the state folder is full, and the reserve is used up."""
