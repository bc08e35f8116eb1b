"""The identity that is stored in the state: the agent's ID and the epoch of its events, which belong to one machine.

State that was copied to another machine needs a new identity. A collector detects duplicates by host, epoch and number,
so with one identity it would discard the events of one of the two machines.
"""

import json
import sqlite3
import uuid
from contextlib import suppress
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from agent.adapters import machine, reserve
from agent.adapters.sqlite import database

_FACTS = TypeAdapter(dict[str, list[str]])
_AGENT_ID_FILE = "agent-id"  # stored the ID before the state file did


def settle(db: sqlite3.Connection, folder: Path) -> str:
    """Give the state a new identity if it was copied from another machine. Returns a message about that, else "".

    Call it before anything is read from the state, and only as its only writer. Raises StateError and StateFull.
    """
    facts = machine.facts(folder)
    with database.reading_errors(folder / database.FILE):
        try:
            return _settle(db, folder, facts)
        except sqlite3.OperationalError as error:
            if not database.is_full(error) or not reserve.release(folder):
                raise
        return _settle(db, folder, facts)


def _settle(db: sqlite3.Connection, folder: Path, facts: machine.Facts) -> str:
    _take_over_file(db, folder / _AGENT_ID_FILE)
    stored = _stored_facts(db)
    if machine.is_another(stored, facts):
        return _reset_identity(db, facts)
    known = {**stored, **facts}  # a source that cannot be read today may be readable tomorrow
    if known != stored:
        _put(db, "machine", json.dumps(known))
    return ""


def _reset_identity(db: sqlite3.Connection, facts: machine.Facts) -> str:
    """Give the state a new identity, in one transaction, so that a SIGKILL leaves either the old or the new one.

    The usage of images is kept, as its key contains the engine's ID. The events belong to the other machine, which
    still has and sends them: they are moved to the history, and numbers start again. The host's name is removed, so
    that the agent finds its own.
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
        f"this state was copied from another machine, where it was the state of {host}: this agent now has an ID, an"
        f" epoch and a host name of its own; {waiting} events that were not sent there yet stay in the history and are"
        " not sent from here"
    )


def _take_over_file(db: sqlite3.Connection, path: Path) -> None:
    """Move the agent's ID into the database, so that ID and epoch change together. The old file is deleted last."""
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


def _stored_facts(db: sqlite3.Connection) -> machine.Facts:
    """The facts of the machine on which the state was written; empty if they are not stored yet."""
    try:
        return _FACTS.validate_json(_get(db, "machine") or "{}")
    except ValidationError:
        return {}


def _get(db: sqlite3.Connection, key: str) -> str | None:
    row = db.execute(database.queries()["get_meta"], {"key": key}).fetchone()
    return str(row["value"]) if row is not None else None


def _put(db: sqlite3.Connection, key: str, value: str) -> None:
    db.execute(database.queries()["put_meta"], {"key": key, "value": value})
