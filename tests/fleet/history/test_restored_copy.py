"""A database that was restored from an old copy is filled again, without anything twice."""

from pathlib import Path

from agent.fleet.history.tables import decisions
from tests.fleet.history.test_writer import SOURCE, facts, make_story
from tests.support import history
from tests.support.history import Collector


async def test_a_restored_copy_is_filled_again_by_what_the_host_sends_from_its_watermark(tmp_path: Path) -> None:
    now, copy = tmp_path / "fleet.db", tmp_path / "copy.db"
    async with history.opened(f"sqlite:///{now}") as database:
        collector = await Collector.start(database)
        await collector.receive(*make_story(1, 2, 3, 6))
        async with database.transaction() as connection:
            await connection.exec_driver_sql("COMMIT")  # VACUUM refuses to run in a transaction
            await connection.exec_driver_sql(f"VACUUM INTO '{copy}'")
        await collector.receive(*make_story(4, 5, 7, 8, 9))
        everything = await facts(database)
    async with history.opened(f"sqlite:///{copy}") as database:
        collector = await Collector.start(database)
        watermark = (await database.writer.load_streams())[SOURCE].contiguous
        assert watermark == 3
        await collector.receive(*make_story(*range(watermark + 1, 10)))
        assert await facts(database) == everything
        assert len(await history.rows(database, decisions)) == 5
