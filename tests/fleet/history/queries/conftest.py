"""Each test here runs on SQLite and on a real PostgreSQL."""

import pytest

from agent.fleet.history.database import Database
from tests.support.table_history import TableHistory


@pytest.fixture
def history(database: Database) -> TableHistory:
    return TableHistory(database.reader, database.transaction)
