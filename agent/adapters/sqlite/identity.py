"""Whose state this is: an agent's own id and the epoch of its events, noted for one machine.

State that was copied to another machine must not go on under them: a collector takes an event for a duplicate by
host, epoch and number, so what two machines report under one identity hides half of it.
"""

import json
import sqlite3
import uuid
from contextlib import suppress
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from agent.adapters import machine
from agent.adapters.sqlite import database

_FACTS = TypeAdapter(dict[str, list[str]])
_AGENT_ID_FILE = "agent-id"  # where the id was before the state file had it


def settle(db: sqlite3.Connection, folder: Path) -> str:
    """Make sure that the state is this machine's; what was found and done where it was another's, else "".

    Called by the one writer before anything is read from the state. Raises StateError and StateFull.
    """
    facts = machine.facts(folder)
    with database.reading_errors(folder / database.FILE):
        try:
            return _settle(db, folder, facts)
        except sqlite3.OperationalError as error:
            if not database.is_full(error) or not database.release_reserve(folder):
                raise
        return _settle(db, folder, facts)


def _settle(db: sqlite3.Connection, folder: Path, facts: machine.Facts) -> str:
    _take_over_file(db, folder / _AGENT_ID_FILE)
    noted = _noted(db)
    if machine.is_another(noted, facts):
        return _begin_anew(db, facts)
    known = {**noted, **facts}  # a source that cannot be read today may be readable tomorrow
    if known != noted:
        _put(db, "machine", json.dumps(known))
    return ""


def _begin_anew(db: sqlite3.Connection, facts: machine.Facts) -> str:
    """Give the state a new identity. One transaction: a SIGKILL leaves the old one or the new one, whole.

    What is known of images stays: it is keyed by the engine's ID. The events are the other machine's, which still
    has them and sends them, so they are set apart and numbers begin anew; without its name the host learns its own.
    """
    host = _get(db, "host") or "a host without a name"
    with db:
        db.execute("BEGIN IMMEDIATE")
        waiting = db.execute(database.queries()["count_waiting"]).fetchone()[0]
        for query in ("set_events_apart", "drop_events", "restart_numbers", "drop_identity"):
            db.execute(database.queries()[query])
        _put(db, "epoch", uuid.uuid4().hex)
        _put(db, "agent_id", str(uuid.uuid4()))
        _put(db, "machine", json.dumps(facts))
    return (
        f"this state was copied from another machine, where it was the state of {host}: this agent now has an id, an"
        f" epoch and a host name of its own; {waiting} events that waited to be sent there stay in the history and"
        " are not sent from here"
    )


def _take_over_file(db: sqlite3.Connection, path: Path) -> None:
    """Put the agent's id into the state file, so that id and epoch change together. The file goes last."""
    try:
        agent_id = str(uuid.UUID(path.read_text().strip()))
    except FileNotFoundError:
        return
    except (OSError, ValueError):
        agent_id = ""
    if agent_id and _get(db, "agent_id") is None:
        _put(db, "agent_id", agent_id)
    with suppress(OSError):
        path.unlink()


def _noted(db: sqlite3.Connection) -> machine.Facts:
    """The machine that the state was written on; nothing where that was not noted yet."""
    try:
        return _FACTS.validate_json(_get(db, "machine") or "{}")
    except ValidationError:
        return {}


def _get(db: sqlite3.Connection, key: str) -> str | None:
    row = db.execute(database.queries()["get_meta"], {"key": key}).fetchone()
    return str(row["value"]) if row is not None else None


def _put(db: sqlite3.Connection, key: str, value: str) -> None:
    db.execute(database.queries()["put_meta"], {"key": key, "value": value})
