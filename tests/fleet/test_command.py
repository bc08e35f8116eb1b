"""`torchkeeper fleet`, as people call it."""

import asyncio
import json
import secrets
from functools import partial
from pathlib import Path

import pytest

from agent.adapters.broker import LARGEST_INCOMING
from agent.adapters.mqtt import broker
from agent.config import sections
from agent.core.protocol import payloads
from tests.fleet.builders import make_image, make_inventory, make_last, make_status, topic
from tests.support import mosquitto, proc
from tests.support.mosquitto import Mosquitto


def publish(server: Mosquitto, **messages: bytes) -> None:
    async def go() -> None:
        options = broker.options(sections.Mqtt(url=server.url), "agent")
        async with broker.connect(options) as connection:
            for rest, payload in messages.items():
                await connection.publish(topic(rest), payload, retain=True)

    asyncio.run(go())


def settings_for(folder: Path, **mqtt: str) -> Path:
    return proc.write_config(folder / "torchkeeper.toml", mqtt=mqtt)


def test_each_command_prints_one_json_document_and_a_table(broker: Mosquitto, tmp_path: Path) -> None:
    publish(broker, status=make_status(), inventory=make_inventory(make_image(), decisions=(make_last(),)))
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
    publish(broker, status=make_status(), inventory=make_inventory(decisions=(make_last(),)))
    file = settings_for(tmp_path, url=broker.url)
    for more, count in (((), 1), (("--host", "gpu-07"), 1), (("--host", "gpu-08"), 0)):
        done = proc.torchkeeper("fleet", "decisions", "--json", "--since", "36500d", *more, config=file)
        assert len(json.loads(done.stdout)["decisions"]) == count, more
    recent = proc.torchkeeper("fleet", "decisions", "--json", "--since", "1ms", config=file)
    assert json.loads(recent.stdout) == {"decisions": []}


def test_a_large_and_compressed_inventory_is_read_like_any_other(broker: Mosquitto, tmp_path: Path) -> None:
    large = make_inventory(*(make_image(f"sha256:{secrets.token_hex(32)}") for _ in range(2000)))
    assert len(large) > 2 * LARGEST_INCOMING
    publish(broker, status=make_status(), inventory=large)
    file = settings_for(tmp_path, url=broker.url)
    for payload in (large, payloads.packed(large)):
        publish(broker, inventory=payload)
        done = proc.torchkeeper("fleet", "images", "--json", config=file)
        assert (done.returncode, len(json.loads(done.stdout)["images"])) == (0, 2000)


@pytest.mark.parametrize("command", ["status", "images", "decisions"])
def test_a_broker_that_retains_nothing_is_a_failure_and_not_an_empty_fleet(
    broker: Mosquitto, tmp_path: Path, command: str
) -> None:
    file = settings_for(tmp_path, url=broker.url)
    for more in ((), ("--json",)):
        done = proc.torchkeeper("fleet", command, *more, config=file)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"{broker.url}: the broker gave no retained message below torchkeeper/v1/hosts." in done.stderr
        assert "this user may not read there" in done.stderr
        assert "--watch" in done.stderr


def test_the_next_address_of_a_list_is_asked_where_one_is_dead(broker: Mosquitto, tmp_path: Path) -> None:
    publish(broker, status=make_status())
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
        (("decisions", "--since", "soon"), "--since"),
    ],
)
def test_wrong_use_is_told_with_its_key(tmp_path: Path, arguments: tuple[str, ...], key: str) -> None:
    done = proc.torchkeeper("fleet", *arguments, config=settings_for(tmp_path, url=""))
    assert (done.returncode, done.stdout) == (2, "")
    assert key in done.stderr
    assert "Traceback" not in done.stderr
