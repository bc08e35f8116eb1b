"""Look-ups of many pairs: each is found by an index of both columns, however many rows there are."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Select

from agent.fleet.history.tables import decisions, host_images, streams
from agent.fleet.history.writing import decisions as decision_rows
from agent.fleet.history.writing import regrets, statements
from agent.fleet.history.writing import streams as stream_rows
from tests.support import history

LOOK_UPS: list[tuple[Select[Any], Column[Any], Column[Any]]] = [
    (decision_rows._ALL, decisions.c.host_id, decisions.c.decision_id),
    (decision_rows._IDS, decisions.c.host_id, decisions.c.decision_id),
    (regrets._ALL, decisions.c.host_id, decisions.c.image_id),
    (regrets._PRESENT, host_images.c.host_id, host_images.c.image_id),
    (stream_rows._LOCKED, streams.c.host_id, streams.c.epoch),
]


@pytest.mark.parametrize(("query", "first", "second"), LOOK_UPS)
async def test_a_look_up_of_pairs_reads_an_index_of_both_columns_once_for_each_pair(
    sqlite_template: Path, query: Select[Any], first: Column[Any], second: Column[Any]
) -> None:
    async with history.opened(f"sqlite:///{sqlite_template}") as database, database.reader() as connection:
        sql = str(statements._joined("sqlite", query, first, second).compile(connection.engine.sync_engine))
        rows = (await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", ("[[1, 1], [2, 2]]",))).all()
    plan = [row.detail for row in rows if "TEMP B-TREE" not in row.detail]
    assert plan[0].startswith("SCAN json_each")
    assert not any(step.startswith("SCAN") for step in plan[1:])
    assert f"({first.name}=? AND {second.name}=?)" in plan[-1]
