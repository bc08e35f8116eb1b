"""The file in which a running agent lists its standing alerts, for `torchkeeper check`.

Only the agent that has the lock on the folder writes it, at least once in INTERVAL. So a much older file is that of an
agent that hangs, and a file without a lock is that of an agent that was killed.
"""

from pathlib import Path

from agent.adapters import folder as folders
from agent.core.protocol import payloads

FILE = "alerts.json"
INTERVAL = 60.0  # seconds between two writes without a change
STALE = 4 * INTERVAL  # seconds; an agent that works writes it before


class Standing(payloads.Payload):
    """The alerts that stood at one time."""

    at: payloads.Time
    alerts: list[payloads.Alert]


def save(folder: Path, standing: Standing) -> None:
    """Replace the file atomically; members of the folder's group may read it. Raises OSError."""
    folders.replace_file(folder / FILE, standing.encode(), readable=True)


def load(folder: Path) -> Standing | None:
    """The alerts as last written; None if there is no file, or none that can be read as one. Raises OSError."""
    try:
        return payloads.decode(Standing, (folder / FILE).read_bytes())
    except FileNotFoundError:
        return None


def remove(folder: Path) -> None:
    """Remove the file of an agent that has ended, if there is one. Raises OSError."""
    (folder / FILE).unlink(missing_ok=True)
