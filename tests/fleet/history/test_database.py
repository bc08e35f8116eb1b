"""Opening the database: what is created, how it is set up, and what is wrong with it in words."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from agent.fleet.history import errors, migrations
from agent.fleet.history.database import Database, open_database
from agent.fleet.history.migrations import migrate
from agent.fleet.history.tables import metadata
from tests.support import history, messages, postgres
from tests.support.history import Collector, event
from tests.support.proc import COMMAND
from tests.support.times import START


def differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), metadata))


def run_python(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout


def modes(folder: Path) -> dict[str, str]:
    return {path.name: oct(path.stat().st_mode)[-3:] for path in folder.iterdir()}


async def test_the_migrations_make_the_tables_that_the_program_uses(url: str) -> None:
    async with history.opened(url) as database, database.reader() as connection:
        assert await connection.run_sync(differences) == []


def test_the_versions_are_known_without_loading_alembic() -> None:
    script = migrate.script()
    assert [revision.revision for revision in reversed(list(script.walk_revisions()))] == list(migrations.REVISIONS)
    assert script.get_current_head() == migrations.HEAD


async def test_a_database_that_is_up_to_date_is_opened_without_alembic(url: str) -> None:
    async with history.opened(url):
        pass
    program = (
        "import asyncio, sys\n"
        "from agent.fleet.history.database import open_database\n"
        "async def main():\n"
        f"    await (await open_database({url!r})).close()\n"
        "asyncio.run(main())\n"
        "print('alembic' in sys.modules)\n"
    )
    assert run_python(program) == "False\n"


async def test_what_is_committed_is_there_after_opening_again(url: str) -> None:
    async with history.opened(url) as database:
        await (await Collector.start(database)).receive(event(messages.make_decision(1)))
        before = await history.contents(database)
    async with history.opened(url) as database:
        assert await history.contents(database) == before


async def test_a_reader_cannot_change_anything_and_its_queries_see_one_state(collector: Collector) -> None:
    async with collector.database.reader() as connection:
        count = text("SELECT count(*) FROM hosts")
        assert (await connection.execute(count)).scalar() == 0
        await collector.receive(event(messages.make_decision(1)))
        assert (await connection.execute(count)).scalar() == 0
    with pytest.raises((errors.HistoryUnavailable, DBAPIError), match=r"readonly|read-only"):
        async with collector.database.reader() as connection:
            await connection.execute(text("DELETE FROM hosts"))
    assert len(await history.rows(collector.database, metadata.tables["hosts"])) == 1


async def test_a_database_of_a_newer_version_is_refused_and_left_as_it_is(url: str) -> None:
    async with history.opened(url) as database, database.transaction() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(errors.HistoryTooNew, match=r"monitor\.database: .* newer torchkeeper \(tables 9999"):
        await open_database(url)


async def pragma(database: Database, name: str) -> object:
    async with database.transaction() as connection:
        return (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar()


async def test_a_file_survives_a_power_failure_and_does_not_grow_for_ever(tmp_path: Path) -> None:
    async with history.opened(f"sqlite:///{tmp_path}/fleet.db") as database:
        names = ("journal_mode", "synchronous", "auto_vacuum", "foreign_keys", "journal_size_limit", "busy_timeout")
        found = {name: await pragma(database, name) for name in names}
    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,  # FULL
        "auto_vacuum": 2,  # INCREMENTAL
        "foreign_keys": 1,
        "journal_size_limit": 64 * 1024 * 1024,
        "busy_timeout": 10_000,
    }


async def test_the_file_and_its_log_are_for_their_owner_only(tmp_path: Path) -> None:
    async with history.opened(f"sqlite:///{tmp_path}/fleet.db") as database:
        await (await Collector.start(database)).receive(event(messages.make_decision(1)))
        assert modes(tmp_path) == {"fleet.db": "600", "fleet.db-wal": "600", "fleet.db-shm": "600"}


@pytest.mark.parametrize(
    ("url", "way_out"),
    [
        ("sqlite:///fleet.db", "has no absolute path; write sqlite:////var/lib"),
        ("sqlite://", "has no absolute path"),
        ("sqlite:///{folder}/away/fleet.db", "the folder {folder}/away does not exist; create it"),
        ("sqlite:///{folder}", "set the path of a file in it"),
        ("sqlite:///{folder}/text", "file is not a database"),
        ("mysql://localhost/fleet", "mysql is no database that the monitor knows; write sqlite:////"),
        ("fleet.db", "this is not a URL; write sqlite:////"),
        ("postgresql://nobody@/fleet?host={folder}", "PostgreSQL: "),
        ("postgresql://nobody:secret@127.0.0.1:1/fleet", "PostgreSQL: "),
    ],
)
async def test_what_is_wrong_with_the_database_is_said_with_the_key_and_the_way_out(
    tmp_path: Path, url: str, way_out: str
) -> None:
    (tmp_path / "text").write_text("no database\n" * 1000)
    with pytest.raises(errors.HistoryError) as caught:
        await open_database(url.format(folder=tmp_path))
    message = str(caught.value)
    assert message.startswith("monitor.database: ")
    assert way_out.format(folder=tmp_path) in message
    assert "secret" not in message
    assert "\n" not in message


async def test_a_commit_while_another_process_locks_the_file_can_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.fleet.history.sqlite.BUSY_TIMEOUT", 0.01)
    url = f"sqlite:///{tmp_path}/fleet.db"
    async with history.opened(url) as database, history.opened(url) as other:
        collector = await Collector.start(database)
        batch = collector.fold.apply([event(messages.make_decision(1))], START)
        async with other.transaction():
            with pytest.raises(errors.HistoryUnavailable, match="locked"):
                await database.writer.commit(batch)
        assert len((await collector.commit(batch)).decisions) == 1


@pytest.mark.real
async def test_a_restart_of_the_server_ends_no_monitor(postgres_server: postgres.Postgres, postgres_url: str) -> None:
    async with history.opened(postgres_url) as database:
        collector = await Collector.start(database)
        await collector.receive(event(messages.make_decision(1)))
        batch = collector.fold.apply([event(messages.make_decision(2, "d2"))], START)
        postgres_server.stop()
        with pytest.raises(errors.HistoryUnavailable):
            await database.writer.commit(batch)
        postgres_server.start()
        assert len((await collector.commit(batch)).decisions) == 1


def test_without_the_driver_of_postgresql_only_postgresql_is_refused(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys; sys.modules['asyncpg'] = None\n"
        "from agent.fleet.history import database, errors\n"
        f"asyncio.run(database.open_database('sqlite:///{tmp_path}/fleet.db'))\n"
        "try:\n    asyncio.run(database.open_database('postgresql://localhost/fleet'))\n"
        "except errors.HistoryError as error:\n    print(error)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=COMMAND)
    assert ended.stdout == "monitor.database: PostgreSQL needs: pip install 'torchkeeper[monitor,postgres]'\n"
