"""`torchkeeper fleet`, as people call it."""

import asyncio
import json
import secrets
from functools import partial
from pathlib import Path

import pytest

from agent.adapters.broker import LARGEST_INCOMING
from agent.adapters.mqtt import broker
from agent.cli import fleet
from agent.config import loading, sections
from agent.core.protocol import payloads
from agent.fleet.view import FleetView
from tests.support import mosquitto, proc
from tests.support.messages import (
    make_info,
    make_inventory,
    make_inventory_image,
    make_last_decision,
    make_status,
    topic,
)
from tests.support.mosquitto import Mosquitto
from tests.support.times import START


def publish(server: Mosquitto, login: Path | None = None, **messages: bytes) -> None:
    async def go() -> None:
        mqtt = loading.load(login).mqtt if login else sections.Mqtt(url=server.url)
        options = broker.options(mqtt, "agent")
        async with broker.connect(options) as connection:
            for rest, payload in messages.items():
                await connection.publish(topic(rest), payload, retain=True)

    asyncio.run(go())


def settings_for(folder: Path, **mqtt: str) -> Path:
    return proc.write_config(folder / "torchkeeper.toml", mqtt=mqtt)


def test_each_command_prints_one_json_document_and_a_table(broker: Mosquitto, tmp_path: Path) -> None:
    publish(
        broker,
        status=make_status().encode(),
        inventory=make_inventory(make_inventory_image(), decisions=(make_last_decision(),)).encode(),
    )
    file = settings_for(tmp_path, url=broker.url)
    run = partial(proc.torchkeeper, "fleet")
    for name, key, word in (
        ("status", "hosts", "gpu-07"),
        ("images", "images", "teamai/a:1"),
        ("decisions", "decisions", "idle-ttl"),
    ):
        since = ("--since", "36500d") if name == "decisions" else ()
        as_json = run(name, "--config", str(file), "--json", *since)
        table = run(name, "--config", str(file), *since)
        assert (as_json.returncode, table.returncode, as_json.stderr, table.stderr) == (0, 0, "", "")
        assert [item["host"] for item in json.loads(as_json.stdout)[key]] == ["gpu-07"]
        assert word in table.stdout


def test_decisions_can_be_narrowed_to_a_host_and_a_time(broker: Mosquitto, tmp_path: Path) -> None:
    publish(broker, status=make_status().encode(), inventory=make_inventory(decisions=(make_last_decision(),)).encode())
    file = settings_for(tmp_path, url=broker.url)
    for more, count in (((), 1), (("--host", "gpu-07"), 1), (("--host", "gpu-08"), 0)):
        done = proc.torchkeeper("fleet", "decisions", "--json", "--since", "36500d", *more, config=file)
        assert len(json.loads(done.stdout)["decisions"]) == count, more
    recent = proc.torchkeeper("fleet", "decisions", "--json", "--since", "1ms", config=file)
    assert json.loads(recent.stdout) == {"decisions": []}


def test_a_large_and_compressed_inventory_is_read_like_any_other(broker: Mosquitto, tmp_path: Path) -> None:
    large = make_inventory(*(make_inventory_image(f"sha256:{secrets.token_hex(32)}") for _ in range(2000))).encode()
    assert len(large) > 2 * LARGEST_INCOMING
    publish(broker, status=make_status().encode(), inventory=large)
    file = settings_for(tmp_path, url=broker.url)
    for payload in (large, payloads.packed(large)):
        publish(broker, inventory=payload)
        done = proc.torchkeeper("fleet", "images", "--json", config=file)
        assert (done.returncode, len(json.loads(done.stdout)["images"])) == (0, 2000)


def viewer(server: Mosquitto, folder: Path, name: str) -> Path:
    """The configuration of a user of the broker."""
    secret = folder / "secret"
    secret.write_text("pass")
    return settings_for(folder, url=server.url, username=name, password_file=str(secret))


@pytest.mark.real
def test_a_user_who_may_not_read_the_fleet_is_told_so_and_which_right_is_missing(tmp_path: Path) -> None:
    acl = "user admin\ntopic readwrite torchkeeper/#\n\nuser viewer\ntopic read torchkeeper/v1/hosts/#\n\n"
    users = dict.fromkeys(("admin", "viewer", "nobody", "gpu-07"), "pass")
    with mosquitto.running(users=users, acl=acl + mosquitto.ACL) as server:
        publish(
            server, login=viewer(server, tmp_path, "admin"), status=make_status().encode(), info=make_info().encode()
        )
        for more in ((), ("--json",)):
            run = partial(proc.torchkeeper, "fleet", "status", *more)
            allowed = run(config=viewer(server, tmp_path, "viewer"))
            assert (allowed.returncode, allowed.stderr, "gpu-07" in allowed.stdout) == (0, "", True)
            for name, why in (
                ("nobody", "the broker gave the user 'nobody' no retained message"),
                ("gpu-07", "the broker gave the user 'gpu-07' nothing but the status of its own host"),
            ):
                refused = run(config=viewer(server, tmp_path, name))
                assert (refused.returncode, refused.stdout) == (1, "")
                assert why in refused.stderr
                assert "topic read torchkeeper/v1/hosts/#" in refused.stderr


@pytest.mark.parametrize("command", ["status", "images", "decisions"])
def test_a_broker_that_retains_nothing_is_a_failure_and_not_an_empty_fleet(
    broker: Mosquitto, tmp_path: Path, command: str
) -> None:
    file = settings_for(tmp_path, url=broker.url)
    for more in ((), ("--json",)):
        done = proc.torchkeeper("fleet", command, *more, config=file)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"{broker.url}: the broker gave a client without a user name no retained message" in done.stderr
        assert "below torchkeeper/v1/hosts." in done.stderr
        assert "this user may not read there" in done.stderr
        assert "--watch" in done.stderr


def test_the_next_address_of_a_list_is_asked_where_one_is_dead(broker: Mosquitto, tmp_path: Path) -> None:
    publish(broker, status=make_status().encode())
    dead = [f"mqtt://127.0.0.1:{mosquitto.free_port()}" for _ in range(3)]
    file = proc.write_config(tmp_path / "torchkeeper.toml", mqtt={"url": [*dead, broker.url]})
    done = proc.torchkeeper("fleet", "status", "--json", config=file)
    assert [host["host"] for host in json.loads(done.stdout)["hosts"]] == ["gpu-07"]


def test_where_all_addresses_of_a_list_are_dead_each_is_named(tmp_path: Path) -> None:
    dead = [f"mqtt://127.0.0.1:{mosquitto.free_port()}" for _ in range(2)]
    file = proc.write_config(tmp_path / "torchkeeper.toml", mqtt={"url": dead})
    done = proc.torchkeeper("fleet", "status", config=file)
    assert (done.returncode, done.stdout) == (1, "")
    assert all(f"{url}: [Errno 111] Connection refused" in done.stderr for url in dead)


def test_a_broker_that_is_not_there_is_one_sentence_and_a_failure(tmp_path: Path) -> None:
    url = f"mqtt://127.0.0.1:{mosquitto.free_port()}"
    done = proc.torchkeeper("fleet", "status", config=settings_for(tmp_path, url=url))
    assert (done.returncode, done.stdout) == (1, "")
    assert url in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.real
def test_a_refused_login_names_the_user_and_the_way_out_and_not_the_secret(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("wrong-pa55word\n")
    with mosquitto.running(users={"viewer": "right"}) as server:
        file = settings_for(tmp_path, url=server.url, username="viewer", password_file=str(secret))
        done = proc.torchkeeper("fleet", "status", "--json", config=file)
    assert (done.returncode, done.stdout) == (1, "")
    assert "'viewer'" in done.stderr
    assert "mqtt.password_file" in done.stderr
    assert "pa55" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (("status",), "mqtt.url"),
        (("status", "--watch", "--json"), "--watch"),
        (("status", "--watch"), "--watch"),
        (("images", "--watch"), "--watch"),
        (("decisions", "--since", "soon"), "--since"),
        (("what-if", "--ttl", "soon"), "--ttl"),
        (("what-if", "--ttl", "7d", "--monitor", "localhost:9478"), "--monitor"),
        (("what-if", "--ttl", "7d", "--token-file", "/nowhere"), "--token-file"),
    ],
)
def test_wrong_use_is_reported_with_its_key(tmp_path: Path, arguments: tuple[str, ...], key: str) -> None:
    done = proc.torchkeeper("fleet", *arguments, config=settings_for(tmp_path, url=""))
    assert (done.returncode, done.stdout) == (2, "")
    assert key in done.stderr
    assert "Traceback" not in done.stderr


def test_what_if_without_a_monitor_is_one_sentence_and_a_failure(tmp_path: Path) -> None:
    file = proc.write_config(tmp_path / "t.toml", monitor={"listen": f"127.0.0.1:{mosquitto.free_port()}"})
    for more in ((), ("--json",)):
        done = proc.torchkeeper("fleet", "what-if", "--ttl", "7d", *more, config=file)
        assert (done.returncode, done.stdout) == (1, "")
        assert "start one with `torchkeeper monitor`" in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("listen", "public_url", "expected"),
    [
        ("127.0.0.1:9478", "", "http://127.0.0.1:9478"),
        ("0.0.0.0:9000", "", "http://127.0.0.1:9000"),
        ("[::]:9000", "", "http://[::1]:9000"),
        ("[::1]:9000", "", "http://[::1]:9000"),
        ("127.0.0.1:9478", "https://fleet.example", "https://fleet.example"),
    ],
)
def test_the_monitor_that_is_asked_is_that_of_the_configuration(listen: str, public_url: str, expected: str) -> None:
    assert fleet.monitor_url(sections.Monitor(listen=listen, public_url=public_url)) == expected


@pytest.mark.parametrize(
    ("hosts", "with_inventory", "missing"),
    [
        (301, 301, ""),
        (301, 298, ""),
        (301, 297, "4 of 301"),
        (1000, 990, ""),
        (1000, 400, "600 of 1,000"),
        (300, 0, ""),
    ],
)
def test_a_large_fleet_whose_inventories_the_broker_dropped_is_noted(
    hosts: int, with_inventory: int, missing: str
) -> None:
    view = FleetView("torchkeeper", ())
    for number in range(hosts):
        view.apply(topic("info", f"gpu-{number}"), make_info().encode(), START, retained=True)
        if number < with_inventory:
            view.apply(topic("inventory", f"gpu-{number}"), make_inventory().encode(), START, retained=True)
    notes = fleet.drop_notes(view.hosts())
    assert [note.split(" hosts")[0] for note in notes] == ([f"the inventories of {missing}"] if missing else [])
    assert all("max_queued_messages 200000" in note for note in notes)
