"""State that was copied to another machine begins an identity of its own there, whole or not at all."""

import asyncio
import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.adapters import machine, reserve
from agent.adapters.sqlite import database, identity, state_dir
from agent.adapters.sqlite.removal_journal import Removal
from agent.adapters.sqlite.store import Store
from agent.core.protocol import payloads
from agent.core.protocol.new_events import NewEvent
from agent.core.usage.continuity import Cursor
from agent.core.usage.tracker import Changes
from tests.support.builders import make_engine_info, make_id, make_usage
from tests.support.collector import Received
from tests.support.fakes.clock import START
from tests.support.proc import ROOT

HERE, THERE = {"dmi": ["here"]}, {"dmi": ["there"]}
AGENT_ID = "0123abcd-4567-89ab-cdef-0123456789ab"


@dataclass
class Machine:
    """The machine that this process seems to be on."""

    facts: machine.Facts


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Machine:
    standing = Machine(HERE)
    monkeypatch.setattr(machine, "facts", lambda folder: standing.facts)
    return standing


@pytest.fixture
def here(tmp_path: Path, on: Machine) -> Path:
    """The state of a host with ten images, seven events, of which the collector has two."""
    folder = tmp_path / "here"
    folder.mkdir()

    async def live() -> None:
        store = open_store(folder)
        await store.name_host("gpu-07")
        engine = await store.engine(make_engine_info())
        usages = tuple(make_usage(f"image-{number}") for number in range(10))
        await engine.commit(Changes(usages=usages), Cursor(time_ns=7))
        await add_outcomes(store, 7)
        await store.acknowledge(store.epoch, 2, START)
        await store.close()

    asyncio.run(live())
    return folder


@pytest.fixture
def there(here: Path, tmp_path: Path, on: Machine) -> Path:
    """A copy of it, and this process on another machine."""
    folder = tmp_path / "there"
    shutil.copytree(here, folder)
    on.facts = THERE
    return folder


def open_store(folder: Path) -> Store:
    store, word = state_dir.open_store(folder, START)
    assert word == ""
    return store


async def add_outcomes(store: Store, count: int) -> None:
    for number in range(count):
        await store.log(NewEvent(payloads.OutcomeData.type, START, None, {"number": number}, f"{store.epoch}-{number}"))


async def sent(store: Store) -> list[payloads.Event]:
    """What a collector that hears this host gets."""
    rows = await store.unsent(0, 1000)
    return [payloads.Event.model_validate_json(row.payload) for row in rows]


async def history(store: Store) -> list[str]:
    return [event.id for event in await store.load_events(START)]


def identity_of(folder: Path) -> tuple[str | None, ...]:
    """Epoch, agent id, host and machine, as a new process would find them."""
    with closing(database.open_file(folder, START)[0]) as db:
        found = {row["key"]: row["value"] for row in db.execute("SELECT key, value FROM meta")}
        events = [db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("events", "former_events")]
        numbers = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    last = numbers["seq"] if numbers else 0
    return (*map(found.get, ("epoch", "agent_id", "host", "watermark", "machine")), *map(str, events), str(last))


async def test_on_the_machine_that_it_was_written_on_nothing_changes(here: Path, on: Machine) -> None:
    before = identity_of(here)
    store = open_store(here)
    assert (store.copied, store.host) == ("", "gpu-07")
    assert len(await sent(store)) == 5
    await store.close()
    assert identity_of(here) == before


async def test_a_copy_begins_a_new_epoch_agent_id_and_host_name_and_keeps_what_is_known_of_images(
    here: Path, there: Path, on: Machine
) -> None:
    copy = open_store(there)
    on.facts = HERE
    original = open_store(here)
    assert copy.copied.startswith("this state was copied from another machine, where it was the state of gpu-07")
    assert "5 events that were not sent there yet" in copy.copied
    assert (copy.host, original.host, original.copied) == ("", "gpu-07", "")
    assert copy.epoch != original.epoch
    assert copy.agent_id != original.agent_id
    saved = await (await copy.engine(make_engine_info())).load()
    assert (len(saved.usages), saved.cursor.time_ns) == (10, 7)
    assert (await copy.watermark(), await copy.load_past_evictions(START)) == (None, ())
    await copy.close()
    await original.close()


async def test_it_happens_once(there: Path) -> None:
    first = open_store(there)
    await first.name_host("gpu-08")
    await first.close()
    second = open_store(there)
    assert (second.copied, second.host) == ("", "gpu-08")
    assert (second.epoch, second.agent_id) == (first.epoch, first.agent_id)
    await second.close()


async def test_no_outcome_of_either_machine_is_taken_for_a_duplicate(
    here: Path, there: Path, on: Machine, tmp_path: Path
) -> None:
    copy = open_store(there)
    on.facts = HERE
    original = open_store(here)
    received = Received(tmp_path / "collector.db")
    for store in (original, copy):
        await store.name_host("gpu-07")  # both by configuration: the worst case
        await add_outcomes(store, 5)
    events = await original.load_events(START)
    for event in events[:2]:  # what the collector had before
        received.take(event.model_dump(mode="json"))
    for event in [*await sent(original), *await sent(copy)]:
        received.take(event.model_dump(mode="json"))
    assert received.duplicates() == 0
    assert len(received.events()) == 7 + 5 + 5
    assert (received.watermark("gpu-07", original.epoch), received.watermark("gpu-07", copy.epoch)) == (12, 5)
    received.close()
    await copy.close()
    await original.close()


async def test_events_of_the_other_machine_stay_in_the_history_as_its_own_and_are_not_sent(
    here: Path, there: Path, on: Machine
) -> None:
    before = identity_of(here)[0]
    store = open_store(there)
    assert await sent(store) == []
    await store.name_host("gpu-08")
    await add_outcomes(store, 1)
    assert [event.id for event in await sent(store)] == [f"gpu-08/{store.epoch}/1"]
    assert await history(store) == [*(f"gpu-07/{before}/{seq}" for seq in range(1, 8)), f"gpu-08/{store.epoch}/1"]
    assert await store.acknowledge(str(before), 7, START) is not None  # the retained word about the other machine
    assert [event.id for event in await sent(store)] == [f"gpu-08/{store.epoch}/1"]
    await store.close()


async def test_the_history_of_the_other_machine_is_forgotten_with_the_own(there: Path) -> None:
    store = open_store(there)
    await store.prune(START.replace(year=START.year + 1), START, declare_dropped=False)
    assert await history(store) == []
    await store.close()


async def test_a_removal_that_the_other_machine_had_begun_ends_here_with_its_decision(
    here: Path, tmp_path: Path, on: Machine
) -> None:
    store = open_store(here)
    engine = await store.engine(make_engine_info())
    decision = NewEvent(payloads.DecisionData.type, START, make_id("torch"), {"reason": "idle-ttl"}, "d1")
    journal = Removal(make_id("torch"), "d1", ("team/torch:1",), START, {})
    await engine.begin_removal(journal, decision)
    await store.close()
    on.facts = THERE
    copy = open_store(here)
    engine = await copy.engine(make_engine_info())
    assert [item.decision_id for item in await engine.load_removals()] == ["d1"]
    outcome = NewEvent(payloads.OutcomeData.type, START, make_id("torch"), {"outcome": "removed"}, "d1")
    await engine.end_removal(make_id("torch"), outcome, None)
    assert [(event.type, event.data["seq"]) for event in await sent(copy)] == [
        (payloads.DecisionData.type, 1),
        (payloads.OutcomeData.type, 2),
    ]
    await copy.close()


def test_state_from_before_this_was_noted_takes_this_machine_for_its_own(here: Path, on: Machine) -> None:
    with closing(sqlite3.connect(here / database.FILE)) as db, db:
        db.execute("DELETE FROM meta WHERE key = 'machine'")
    epoch = identity_of(here)[0]
    on.facts = THERE
    asyncio.run(open_store(here).close())
    assert identity_of(here)[:3] == (epoch, identity_of(here)[1], "gpu-07")
    assert json.loads(str(identity_of(here)[4])) == THERE


def test_a_source_that_can_be_read_again_later_is_not_forgotten(here: Path, on: Machine) -> None:
    on.facts = {"machine-id": ["here"]}  # as another user, who may not read the other one
    asyncio.run(open_store(here).close())
    assert json.loads(str(identity_of(here)[4])) == {"dmi": ["here"], "machine-id": ["here"]}


@pytest.mark.parametrize("text", ["rubbish", "[]", '{"dmi": 3}'])
def test_a_note_that_means_nothing_is_written_anew(here: Path, text: str) -> None:
    with closing(sqlite3.connect(here / database.FILE)) as db, db:
        db.execute("UPDATE meta SET value = ? WHERE key = 'machine'", (text,))
    store = open_store(here)
    assert store.copied == ""
    asyncio.run(store.close())
    assert json.loads(str(identity_of(here)[4])) == HERE


def test_the_agent_id_of_a_file_is_taken_over_once(tmp_path: Path, on: Machine) -> None:
    (tmp_path / "agent-id").write_text(f"{AGENT_ID}\n")
    store = open_store(tmp_path)
    assert (store.agent_id, (tmp_path / "agent-id").exists()) == (AGENT_ID, False)
    asyncio.run(store.close())
    (tmp_path / "agent-id").write_text("rubbish")  # as an older release would make another
    store = open_store(tmp_path)
    assert (store.agent_id, (tmp_path / "agent-id").exists()) == (AGENT_ID, False)
    asyncio.run(store.close())


# Each copy of the state is settled in a process of its own, which is killed at its turn's statement.
KILLED = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from agent.adapters import machine
from agent.adapters.sqlite import database, identity

machine.facts = lambda folder: {"dmi": ["there"]}
for number, folder in enumerate(map(Path, sys.argv[1:])):
    child = os.fork()
    if child == 0:
        left = iter(range(number))
        db = database.open_file(folder, datetime.now(UTC))[0]
        db.set_trace_callback(lambda _: next(left, None) is None and os.kill(os.getpid(), 9))
        identity.settle(db, folder)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 9
"""


def statements(folder: Path) -> int:
    """How many statements the adoption of a copy takes."""
    seen: list[str] = []
    with closing(database.open_file(folder, START)[0]) as db:
        db.set_trace_callback(seen.append)
        assert identity.settle(db, folder)
    return len(seen)


def test_a_kill_at_any_statement_leaves_the_old_identity_or_the_new_one(there: Path, tmp_path: Path) -> None:
    old = identity_of(there)
    count = statements(Path(shutil.copytree(there, tmp_path / "counted")))
    copies = [Path(shutil.copytree(there, tmp_path / f"copy-{number}")) for number in range(count)]
    subprocess.run([sys.executable, "-c", KILLED, *copies], check=True, cwd=ROOT)
    left = [identity_of(folder) for folder in copies]
    assert count > 8
    assert left[0] == old
    assert all(found == old or differs(found, old) for found in left)
    for folder in copies:
        asyncio.run(open_store(folder).close())
        assert differs(identity_of(folder), old)


def differs(one: tuple[str | None, ...], other: tuple[str | None, ...]) -> bool:
    """Whether two identities have nothing in common."""
    return all(here != there for here, there in zip(one, other, strict=True))


async def test_on_a_full_disk_the_reserve_makes_room_for_the_new_identity(
    there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve.keep(there)
    begin = identity._reset_identity
    full = [sqlite3.OperationalError("database or disk is full")]

    def once_full(db: sqlite3.Connection, facts: machine.Facts) -> str:
        if full:
            raise full.pop()
        return begin(db, facts)

    monkeypatch.setattr(identity, "_reset_identity", once_full)
    db = database.open_file(there, START)[0]
    assert identity.settle(db, there).startswith("this state was copied")
    assert not (there / reserve.FILE).exists()
    db.close()
