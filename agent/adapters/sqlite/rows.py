"""Converts database rows to facts and back. Times in rows are whole microseconds since 1970 in UTC."""

import json
import sqlite3
from datetime import UTC, datetime, timedelta

from agent.core.model import Usage
from agent.core.pytorch.layer_probe import LayerProbe, ProbeResult
from agent.core.timekeeping import MachineOff
from agent.core.usage.continuity import Cursor
from agent.core.usage.tracker import IgnoredRun, IgnoredRuns, TrackedContainer, Use

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def us(time: datetime | None) -> int | None:
    """Whole microseconds since 1970; None for None. Raises ValueError for a time without a zone."""
    if time is None:
        return None
    if time.tzinfo is None:
        raise ValueError(f"a time without a zone: {time!r}")
    return (time - _EPOCH) // timedelta(microseconds=1)


def at(micros: int | None) -> datetime | None:
    return None if micros is None else known(micros)


def known(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def usage(row: sqlite3.Row) -> Usage:
    return Usage(
        image_id=row["image_id"],
        first_seen=known(row["first_seen"]),
        arrived=at(row["arrived"]),
        last_used=at(row["last_used"]),
        last_used_by=row["last_used_by"],
        released=at(row["released"]),
        protected=bool(row["protected"]),
        references=tuple(json.loads(row["image_references"])),
        references_changed=at(row["references_changed"]),
        pulled=bool(row["pulled"]),
        present=bool(row["present"]),
    )


def usage_row(engine: int, usage: Usage) -> dict[str, object]:
    return {
        "engine": engine,
        "image_id": usage.image_id,
        "first_seen": us(usage.first_seen),
        "arrived": us(usage.arrived),
        "last_used": us(usage.last_used),
        "last_used_by": usage.last_used_by,
        "released": us(usage.released),
        "protected": int(usage.protected),
        "image_references": json.dumps(usage.references),
        "references_changed": us(usage.references_changed),
        "pulled": int(usage.pulled),
        "present": int(usage.present),
    }


def cursor_row(cursor: Cursor) -> dict[str, object]:
    key = json.dumps(cursor.key) if cursor.key else None
    return {"cursor_ns": cursor.time_ns, "cursor_key": key, **alive_row(cursor)}


def alive_row(cursor: Cursor) -> dict[str, object]:
    clocks = {"alive_steady": cursor.steady, "alive_awake": cursor.awake, "boot": cursor.boot}
    return {"alive_at": us(cursor.alive_at), **clocks}


def absence(row: sqlite3.Row) -> MachineOff:
    return MachineOff(known(row["since"]), known(row["until"]))


def container(row: sqlite3.Row) -> TrackedContainer:
    mounted = tuple(json.loads(row["mounted"])) if row["mounted"] is not None else None
    return TrackedContainer(row["container_id"], row["image_id"], row["name"], row["state"], mounted)


def container_row(container: TrackedContainer) -> dict[str, object]:
    mounted = json.dumps(container.mounted) if container.mounted is not None else None
    return {"image_id": container.image_id, "name": container.name, "state": container.state, "mounted": mounted}


def use_row(use: Use) -> dict[str, object]:
    return {
        "container_id": use.container_id,
        "at": us(use.at),
        "action": use.action,
        "image_id": use.image_id,
        "used_by": use.by,
    }


def use(row: sqlite3.Row) -> Use:
    return Use(row["image_id"], row["container_id"], row["action"], known(row["at"]), row["used_by"])


def ignored_run_row(run: IgnoredRun) -> dict[str, object]:
    return {"image_id": run.image_id, "pattern": run.pattern, "at": us(run.at)}


def ignored_runs(row: sqlite3.Row) -> IgnoredRuns:
    return IgnoredRuns(row["pattern"], row["runs"], known(row["first_at"]), known(row["last_at"]))


def probe(row: sqlite3.Row) -> LayerProbe:
    return LayerProbe(
        result=ProbeResult(row["found"]),
        path=row["path"],
        layer=row["layer"],
        torch_version=row["torch_version"],
        accelerator=row["accelerator"],
    )


def probe_row(probe: LayerProbe) -> dict[str, object]:
    return {
        "found": str(probe.result),
        "path": probe.path,
        "layer": probe.layer,
        "torch_version": probe.torch_version,
        "accelerator": probe.accelerator,
    }
