"""Each test here that asks for `url`, `database` or `collector` runs on SQLite and on a real PostgreSQL."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agent.fleet.history.database import Database, open_database
from tests.support import history, postgres
from tests.support.history import Collector

KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.real)]


def migrate(url: str) -> None:
    async def run() -> None:
        await (await open_database(url)).close()

    asyncio.run(run())


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Postgres]:
    with postgres.running() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_template(postgres_server: postgres.Postgres) -> str:
    """A database with the tables, to be copied: a copy takes less time than the migrations."""
    url = postgres_server.new_database()
    migrate(url)
    return url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "fleet.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def postgres_url(postgres_server: postgres.Postgres) -> Iterator[str]:
    """A new, empty database."""
    url = postgres_server.new_database()
    yield url
    postgres_server.drop(url)


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/fleet.db"
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.fixture(params=KINDS)
def migrated_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with the tables, and nothing in them."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path)
        yield f"sqlite:///{tmp_path}/fleet.db"
        return
    server: postgres.Postgres = request.getfixturevalue("postgres_server")
    url = server.new_database(like=request.getfixturevalue("postgres_template"))
    yield url
    server.drop(url)


@pytest.fixture
async def database(migrated_url: str) -> AsyncIterator[Database]:
    async with history.opened(migrated_url) as opened:
        yield opened


@pytest.fixture
async def collector(database: Database) -> Collector:
    return await Collector.start(database)
