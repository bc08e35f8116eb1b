"""The monitor as a process: it takes in a fleet, ends cleanly, and says in words why it does not start."""

import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from agent.adapters.mqtt import broker
from agent.cli import common
from agent.cli import monitor as command
from agent.config import sections
from agent.config.settings import Settings
from agent.fleet import extra, monitor
from agent.fleet.history.database import Database, open_database
from tests.support import monitor as process
from tests.support import mosquitto, proc
from tests.support.fakes.broker import FakeBroker
from tests.support.fakes.clock import FakeClock
from tests.support.fleet_simulator import Fleet, Simulator
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import make_options, take

STATUS = "torchkeeper/v1/collectors/main/status"
HOSTS, EVENTS = 20, 30
SMALL_QUEUE = ("max_queued_messages 50",)  # a burst overflows it, so the hosts have to send again


@contextmanager
def simulated(server: Mosquitto) -> Iterator[Simulator]:
    simulator = Simulator(Fleet.make(HOSTS, images=3), server.port)
    try:
        yield simulator
    finally:
        simulator.close()


def count(database: Path, query: str) -> int:
    with closing(sqlite3.connect(database, timeout=10)) as db:
        return int(db.execute(query).fetchone()[0])


def has_every_event_once(running: process.Monitor) -> bool:
    found = [
        count(running.database, "SELECT count(*) FROM decisions"),
        count(running.database, "SELECT count(*) FROM decisions WHERE reason != '' AND outcome = 'removed'"),
        count(running.database, f"SELECT count(*) FROM streams WHERE contiguous = {EVENTS}"),
        count(running.database, "SELECT count(*) FROM missing"),
    ]
    return found == [HOSTS * EVENTS // 2, HOSTS * EVENTS // 2, HOSTS, 0]


@pytest.mark.real
def test_the_monitor_takes_in_a_fleet_and_a_burst_that_the_broker_partly_drops(tmp_path: Path) -> None:
    with mosquitto.running(extra=SMALL_QUEUE) as server, process.running(server.url, tmp_path) as running:
        with simulated(server) as simulator:
            simulator.publish(simulator.fleet.births())
            simulator.burst(EVENTS)
            assert simulator.confirm(proc.PATIENCE)
        assert has_every_event_once(running)
        rows = proc.eventually(lambda: _online(running))
        assert [(row["host"], row["images"]) for row in rows] == [(host.name, 3) for host in simulator.fleet.hosts]


@pytest.mark.real
def test_a_monitor_that_is_killed_in_a_burst_has_all_of_it_once_after_its_restart(tmp_path: Path) -> None:
    with (
        mosquitto.running() as server,
        process.running(server.url, tmp_path) as running,
        simulated(server) as simulator,
    ):
        simulator.burst(EVENTS // 2)
        running.kill()
        simulator.burst(EVENTS // 2)
        running.start_connected()
        running.kill()
        running.start_connected()
        assert simulator.confirm(proc.PATIENCE)
        assert has_every_event_once(running)


@pytest.mark.real
def test_a_monitor_that_is_killed_between_the_images_of_two_hosts_has_those_of_all_after_its_restart(
    tmp_path: Path,
) -> None:
    fleet, stored = Fleet.make(400), "SELECT count(*) FROM host_images"
    with mosquitto.running() as server:
        simulator = Simulator(fleet, server.port)
        simulator.publish(fleet.births())
        simulator.flush()
        simulator.close()
        running = process.Monitor(server.url, tmp_path)
        running.start_connected()
        try:
            proc.eventually(lambda: count(running.database, stored))
            running.kill()
            running.start_connected()
            proc.eventually(lambda: count(running.database, stored) == 400 * fleet.images)
            assert count(running.database, "SELECT count(DISTINCT host_id) FROM host_images") == 400
        finally:
            running.stop()


@pytest.mark.real
async def test_it_ends_on_sigterm_with_0_and_says_goodbye_and_the_next_one_starts_at_once(
    broker_: Mosquitto, tmp_path: Path
) -> None:
    with process.running(broker_.url, tmp_path) as running:
        assert running.stop() == 0
        async with broker.connect(make_options(broker_)) as connection:
            await connection.subscribe(STATUS)
            (status,) = await take(connection, 1)
        assert (status.retain, json.loads(status.payload)["state"]) == (True, "offline")
        running.start_connected()
        assert "Traceback" not in running.output()


@pytest.mark.real
def test_a_second_one_with_the_same_id_is_refused_in_words(broker_: Mosquitto, tmp_path: Path) -> None:
    with process.running(broker_.url, tmp_path) as running:
        ended = proc.torchkeeper("monitor", "--listen", f"127.0.0.1:{mosquitto.free_port()}", config=running.config)
        assert (ended.returncode, f"process {running.pid} on" in ended.stderr, ended.stdout) == (1, True, "")
        assert "another monitor with the id 'main' uses this database" in ended.stderr
        assert running.returncode() is None


@pytest.mark.real
def test_a_port_that_is_in_use_is_an_error_that_names_the_key(broker_: Mosquitto, tmp_path: Path) -> None:
    stopped = process.Monitor(broker_.url, tmp_path)
    ended = proc.torchkeeper("monitor", "--listen", f"127.0.0.1:{broker_.port}", config=stopped.config)
    assert ended.returncode == 2
    assert f"torchkeeper: monitor.listen: cannot listen on 127.0.0.1:{broker_.port}: address already" in ended.stderr


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"id": "a/b"}, "monitor.id: 'a/b' cannot be part of a topic; try 'a-b'"),
        ({"database": "sqlite:////nowhere/fleet.db"}, "monitor.database: the folder /nowhere does not exist"),
        ({"listen": "0.0.0.0:9478"}, "monitor.listen: 0.0.0.0 would show the fleet to everybody"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused_with_its_key(
    tmp_path: Path, keys: dict[str, str], message: str
) -> None:
    stopped = process.Monitor("mqtt://localhost:1", tmp_path, **keys)
    ended = proc.torchkeeper("monitor", config=stopped.config)
    assert (ended.returncode, "Traceback" in ended.stderr) == (2, False)
    assert message in ended.stderr
    assert not stopped.database.exists()


def test_without_its_packages_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extra, "is_installed", lambda: False)
    with pytest.raises(common.UsageError, match=r"^torchkeeper monitor needs: pip install 'torchkeeper\[monitor\]'$"):
        command.monitor()


def test_an_address_that_is_none_is_refused_with_its_option(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = proc.write_config(tmp_path / "c.toml", mqtt={"url": "mqtt://localhost:1"})
    with pytest.raises(common.UsageError, match=r"^--listen: 'nonsense' is not an address"):
        command.monitor(config, listen="nonsense")


# What it says of itself


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await open_database(f"sqlite:///{tmp_path / 'fleet.db'}")
    yield opened
    await opened.close()


async def test_its_health_says_what_does_not_work_and_since_when_the_broker_counts_as_unreachable(
    database: Database,
) -> None:
    clock, settings = FakeClock(), Settings(mqtt=sections.Mqtt(url="mqtt://localhost"))
    built = await monitor.build(settings, "main", database, FakeBroker().collector_connector("x"), clock)
    assert (built.health().broker, built.health().error, built.health().database) == ("connecting", None, "working")
    await clock.advance(59)
    assert built.health().broker == "connecting"
    await clock.advance(1)
    assert built.health().broker == "unreachable"
    built.committer.retry.error = "the disk is full"
    assert (built.health().database, built.health().error) == ("failing", "the disk is full")


def _online(running: process.Monitor) -> list[dict[str, object]]:
    """All rows once each of the hosts is online and has its images."""
    rows: list[dict[str, object]] = running.get("/api/hosts")["hosts"]
    return rows if len(rows) == HOSTS and all(row["state"] == "online" and row["images"] for row in rows) else []


@pytest.fixture
def broker_(broker: Mosquitto) -> Mosquitto:
    """The fixture `broker`, under a name that leaves the module's free."""
    return broker
