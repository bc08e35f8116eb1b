"""Images with the truth about each: the fixtures beside this file, or a corpus, one JSON object on a line.

A row of a corpus has `name` and `truth` ("yes": the image is for PyTorch, "embeds": an application that contains torch
for itself, "no"). It may have `references`, `digests`, `config` (`Env`, `Labels`, `Entrypoint`, `Cmd`), `history`,
`layers`, `torch_version` and `accelerator` (several right values are separated by `|`), `builder`, and `scored` (false:
the row does not count).
"""

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from agent.core.model import Details, HistoryStep, Image

FIXTURES = Path(__file__).parent / "fixtures"
TRUTHS = ("yes", "embeds", "no")
UNNAMED = "corp/app:1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One image with the truth about it. Rows with the same name are one image made by several builders."""

    name: str
    image: Image
    truth: str
    builder: str = ""
    torch_version: str = ""  # "": not known
    accelerator: str = ""  # "": not known
    verdict: str = ""  # for a fixture: the class that it must get, or "kept" for any class but pytorch


def read(lines: Iterable[str]) -> tuple[Row, ...]:
    """The rows of a corpus that count."""
    found = (json.loads(line) for line in lines if line.strip())
    return tuple(_row(row, number) for number, row in enumerate(found, 1) if row.get("scored", True))


def fixtures() -> tuple[Row, ...]:
    """The project's own images: each TOML file has many, in `[[image]]` tables."""
    numbers = count(1)
    files = [tomllib.loads(file.read_text(encoding="utf-8")) for file in sorted(FIXTURES.glob("*.toml"))]
    return tuple(_fixture(table, next(numbers)) for file in files for table in file["image"])


def unnamed(row: Row) -> Row:
    """The same image without its names."""
    return replace(row, image=replace(row.image, references=(UNNAMED,), digests=(), origin=None))


def _row(row: Mapping[str, Any], number: int) -> Row:
    config = row.get("config") or {}
    digests = tuple(sorted(row.get("digests") or ()))
    details = Details(
        layers=tuple(row.get("layers") or ()),
        env=dict(line.partition("=")[::2] for line in config.get("Env") or ()),
        labels=dict(config.get("Labels") or {}),
        entrypoint=_words(config.get("Entrypoint")),
        command=_words(config.get("Cmd")),
        history=_history(row.get("history") or ()),
    )
    return Row(
        name=row["name"],
        image=Image(
            id=f"sha256:{number:064x}",
            references=tuple(sorted(row.get("references") or ())),
            digests=digests,
            origin=digests[0] if digests else None,
            details=details,
        ),
        truth=row["truth"],
        builder=row.get("builder") or "",
        torch_version=row.get("torch_version") or "",
        accelerator=row.get("accelerator") or "",
    )


def _fixture(table: Mapping[str, Any], number: int) -> Row:
    """A table with `what` for its name; a misspelled key is an error."""
    given = dict(table)
    image = Image(
        id=f"sha256:{number:064x}",
        references=tuple(sorted(given.pop("references", [UNNAMED]))),
        digests=tuple(sorted(given.pop("digests", []))),
        details=Details(
            env=given.pop("env", {}),
            labels=given.pop("labels", {}),
            entrypoint=tuple(given.pop("entrypoint", [])),
            history=_history(given.pop("history", [])),
        ),
    )
    return Row(name=given.pop("what"), image=image, **given)


def _words(value: str | Sequence[str] | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())


def _history(lines: Iterable[str]) -> tuple[HistoryStep, ...]:
    return tuple(HistoryStep(line, 0) for line in lines)
