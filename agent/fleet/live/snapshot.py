"""All rows as one document."""

import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter

from agent.fleet.live.position import Position
from agent.fleet.live.row import COLUMNS, HostRow

_COMPRESSION = 1  # of 9: more costs several times as much and saves a tenth

_values = attrgetter(*COLUMNS)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`HostColumns` of the API, as JSON and compressed."""

    position: Position
    json: bytes
    gzipped: bytes


def encode_rows(rows: Iterable[HostRow]) -> bytes:
    """Rows as JSON lists in the order of COLUMNS. In ASCII, on one line, whatever the names are."""
    return json.dumps([_values(row) for row in rows], separators=(",", ":")).encode("ascii")


def make(position: Position, rows: Iterable[HostRow]) -> Snapshot:
    head = json.dumps({"at": str(position), "columns": COLUMNS}, separators=(",", ":")).encode("ascii")
    document = head[:-1] + b',"hosts":' + encode_rows(rows) + b"}"
    return Snapshot(position, document, gzip.compress(document, _COMPRESSION, mtime=0))
