"""Tables as CSV, for spreadsheets. A spreadsheet runs a cell that looks like a formula, so none does."""

import csv
import io
import json
from collections.abc import Iterable
from typing import Any, cast, get_args

from agent.fleet.web.documents import Document

CONTENT_TYPE = "text/csv"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # beginnings of texts that a spreadsheet does not take as text


def row_model(document: type[Document], field: str) -> type[Document]:
    """The model of the rows in a field that is a list of documents."""
    (model,) = get_args(document.model_fields[field].annotation)
    return cast(type[Document], model)


def head(model: type[Document]) -> str:
    """The line with the names of the columns."""
    return _line(model.model_fields)


def lines(rows: Iterable[Document]) -> str:
    return "".join(_line(map(cell, row.model_dump(mode="json").values())) for row in rows)


def cell(value: Any) -> str | float | None:
    """A value as it stands in a table: lists of texts as words, other lists and objects as JSON."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return _harmless(" ".join(value))
    if isinstance(value, list | dict):
        return _harmless(json.dumps(value, ensure_ascii=False))
    if isinstance(value, bool):
        return "true" if value else "false"
    return _harmless(value) if isinstance(value, str) else value


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _line(cells: Iterable[object]) -> str:
    written = io.StringIO()
    csv.writer(written).writerow(cells)
    return written.getvalue()
