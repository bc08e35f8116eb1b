"""What must hold after a run: the driver's truth against the agent's state, the monitor's history and the engine."""

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.chaos.history import History, HostEvent
from tests.chaos.truth import Span, Truth
from tests.support import dockerd

RACE = timedelta(seconds=1)  # from the last look at the engine to the decision: a create from then on races
KIND = "torchkeeper."
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The figures of a run, and all that was wrong with it."""

    figures: Mapping[str, object]
    faults: tuple[str, ...]

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.figures.items())


@dataclass(frozen=True, slots=True)
class Eviction:
    """A decision and its last outcome, at their times."""

    image: str
    decided: datetime
    ended: datetime
    outcome: str
    references: tuple[str, ...]


class Case:
    """One run's evidence."""

    def __init__(self, folder: Path, host: str, truth: Truth, ttl: float) -> None:
        self._state = folder / "state" / "state.db"
        self._host = host
        self._history = History(folder / "fleet.db")
        self._truth = truth
        self._ttl = timedelta(seconds=ttl)

    # Rest

    def at_rest(self, engine: dockerd.Dockerd) -> bool:
        return not self.unrest(engine)

    def unrest(self, engine: dockerd.Dockerd) -> Json:
        """What is still to be done: due images, removals under way, events that wait."""
        state = {
            "removals": self._count("SELECT count(*) FROM removals"),
            "waiting": self._count("SELECT count(*) FROM events WHERE retired = 0"),
            "due": len(self._due(engine)),
        }
        return {name: value for name, value in state.items() if value}

    def why_unrest(self, engine: dockerd.Dockerd) -> str:
        """What is still to be done, and all that is known of each image that is due."""
        lines = [str(self.unrest(engine))]
        for image in self._due(engine):
            usage = [dict(row) for row in self._rows("SELECT * FROM usage") if row["image_id"] == image]
            boxes = [(box["Names"], box["State"]) for box in engine.containers() if box["ImageID"] == image]
            lines.append(f"due: {self._truth.images[image]}, containers {boxes}, usage {usage}")
        return "\n".join(lines)

    def _due(self, engine: dockerd.Dockerd) -> list[str]:
        backoff = {row["image_id"] for row in self._rows("SELECT image_id FROM backoff")}
        torch = {image.id for image in self._truth.images.values() if image.kind != "postgres"}
        there = {image["Id"] for image in engine.images()}
        return sorted((there & torch) - self._truth.held_now() - backoff)

    # Judging

    def judge(self, engine: dockerd.Dockerd, done: Mapping[str, object], faults: list[str]) -> Verdict:
        """`done`: figures of what was done to the parts. `faults`: what was seen to be wrong on the way."""
        events, listed = self._events(), {image["Id"]: image for image in engine.images()}
        evictions, gaps = self._evictions(events), self._gaps(events)
        found = [
            *faults,
            *self._truth.faults,
            *self._used_when_removed(evictions),
            *self._used_within_the_ttl(evictions),
            *self._phantoms(evictions, listed),
            *self._without_outcome(events),
            *self._half_there(listed),
            *self._missed_uses(gaps),
            *self._not_collected(),
        ]
        outcomes = Counter(eviction.outcome for eviction in evictions)
        causes = Counter(_cause(event["data"]["cause"]) for event in events if event["type"] == f"{KIND}gap")
        figures = {
            **done,
            "images": len(self._truth.images),
            "containers": len(self._truth.boxes),
            "uses": sum(len(box.uses) for box in self._truth.boxes),
            "creates turned down": self._truth.turned_down,
            **{f"evictions {name}": count for name, count in sorted(outcomes.items())},
            "settled": sum("interrupted" in str(e["data"].get("error")) for e in events),
            "gaps": len(gaps),
            **{f"where {cause}": count for cause, count in sorted(causes.items())},
            "seconds in gaps": round(sum((until - since).total_seconds() for since, until in gaps), 1),
            "events": len(events),
            **{f"in the history {table}": count for table, count in self._history.counts().items()},
            "faults": len(found),
        }
        return Verdict(figures, tuple(found))

    def _used_when_removed(self, evictions: list[Eviction]) -> Iterator[str]:
        """Promise 1: at no removal did a container hold the image."""
        for item in evictions:
            if item.outcome == "removed":
                at = self._truth.deleted.get(item.image)
                span = (item.decided - RACE, at or item.ended)
                for box in self._truth.boxes_of(item.image):
                    if box.holds(span):
                        yield f"{item.image} was removed at {span} while {box} held it"

    def _used_within_the_ttl(self, evictions: list[Eviction]) -> Iterator[str]:
        """Promise 4: what was used within the TTL stays, gap or not."""
        for item in evictions:
            young = (item.decided - self._ttl, item.decided - RACE)
            for asked, acknowledged in self._truth.uses_of(item.image):
                if young[0] < asked and acknowledged < young[1]:
                    yield f"{item.image} was evicted at {item.decided}, and used at {asked}"

    def _phantoms(self, evictions: list[Eviction], listed: Mapping[str, Json]) -> Iterator[str]:
        """What is told to be removed is gone, and was when it was told; and nobody else removed anything."""
        removed = {item.image: item for item in evictions if item.outcome == "removed"}
        for image, item in removed.items():
            at = self._truth.deleted.get(image)
            if image in listed or (at is not None and at > item.ended):
                yield f"{image} is told to be removed at {item.ended}, and went at {at}; listed: {image in listed}"
        for made in self._truth.images.values():
            if made.id not in listed and made.id not in removed:
                yield f"{made} went, and no outcome tells so"
            if made.kind == "postgres" and made.id not in listed:
                yield f"{made} is no PyTorch image and went"

    def _without_outcome(self, events: list[Json]) -> Iterator[str]:
        """Each decision was carried out or given up, and says which."""
        ended = {event["data"]["decision_id"] for event in events if event["type"] == f"{KIND}outcome"}
        for event in events:
            if event["type"] == f"{KIND}decision" and event["data"]["decision_id"] not in ended:
                yield f"a decision without an outcome: {event['data']['decision_id']} at {event['time']}"
        if self._count("SELECT count(*) FROM removals"):
            yield "a removal was never settled"

    def _half_there(self, listed: Mapping[str, Json]) -> Iterator[str]:
        """Every image is whole or gone."""
        for made in self._truth.images.values():
            if made.id in listed and not made.tags <= set(listed[made.id]["RepoTags"] or ()):
                yield f"{made} is half there: {listed[made.id]['RepoTags']}"

    def _missed_uses(self, gaps: list[Span]) -> Iterator[str]:
        """Promise 5: no use is missing outside a recorded gap."""
        recorded = {row["image_id"]: row["last_used"] for row in self._rows("SELECT * FROM usage")}
        for made in self._truth.images.values():
            seen = [use for use in self._truth.uses_of(made.id) if not _in_one(use, gaps)]
            last = recorded.get(made.id)
            if seen and (last is None or last < _us(max(asked for asked, _ in seen))):
                yield f"{made} was used at {max(seen)}, and the record says {last and _time(last)}"

    def _not_collected(self) -> Iterator[str]:
        """Promise 6: what the host has decided and done is in the monitor's history once."""
        epoch = self._rows("SELECT value FROM meta WHERE key = 'epoch'")[0]["value"]
        rows = self._rows("SELECT * FROM events ORDER BY seq")
        events = [HostEvent(row["seq"], row["type"], bool(row["retired"]), json.loads(row["data"])) for row in rows]
        yield from self._history.faults(self._host, epoch, events)

    # The agent's state

    def _events(self) -> list[Json]:
        return [
            {"type": row["type"], "time": _time(row["at"]), "subject": row["subject"], "data": json.loads(row["data"])}
            for row in self._rows("SELECT * FROM events ORDER BY seq")
        ]

    def _evictions(self, events: list[Json]) -> list[Eviction]:
        decided = {e["data"]["decision_id"]: e["time"] for e in events if e["type"] == f"{KIND}decision"}
        return [
            Eviction(
                event["subject"],
                decided[event["data"]["decision_id"]],
                event["time"],
                event["data"]["outcome"],
                tuple(event["data"]["image"]["references"]),
            )
            for event in events
            if event["type"] == f"{KIND}outcome"
        ]

    def _gaps(self, events: list[Json]) -> list[Span]:
        found = [event["data"] for event in events if event["type"] == f"{KIND}gap"]
        return [(datetime.fromisoformat(gap["since"]), datetime.fromisoformat(gap["until"])) for gap in found]

    def _count(self, query: str) -> int:
        return int(self._rows(query)[0][0])

    def _rows(self, query: str) -> list[sqlite3.Row]:
        with closing(sqlite3.connect(self._state, timeout=10)) as db:
            db.row_factory = sqlite3.Row
            return db.execute(query).fetchall()


def _in_one(use: Span, gaps: list[Span]) -> bool:
    return any(since <= use[1] and use[0] <= until for since, until in gaps)


def _cause(text: str) -> str:
    """A gap's cause without the name of what it concerns."""
    return re.sub("'[^']*'", "a name", text)


def _us(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _time(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
