"""Wrong keys, wrong values, wrong files: each is named with the way out, and nothing is lost."""

import sqlite3

import pytest

from agent.adapters import overrides
from tests.acceptance.collector import AcceptanceCollector
from tests.acceptance.host import NAME, RealHost
from tests.support import engines, images, proc

pytestmark = engines.ON_ONE


@pytest.mark.parametrize(
    ("section", "keys", "named"),
    [
        ("policy", {"tll": "3d"}, "policy.tll: is an unknown key; did you mean ttl?"),
        ("polcy", {"ttl": "3d"}, "polcy: is an unknown key; did you mean [policy]?"),
        ("policy", {"ttl": 14}, "policy.ttl: 14 is not a duration; write a number and a unit"),
        ("policy", {"ttl": "0s"}, "policy.ttl: must be longer than 0"),
        ("policy", {"protect": "*:latest"}, 'policy.protect: must be a list: protect = ["*:latest"]'),
        ("policy", {"rules": [{"match": "a:*"}]}, 'policy.rules: the 1st rule (match = "a:*"): has no effect'),
        ("agent", {"mode": "dry"}, "agent.mode: "),
        ("agent", {"host": "gpu 01"}, "agent.host: 'gpu 01' cannot be part of a topic; try 'gpu-01'"),
        ("mqtt", {"url": "mqtt://user:pass@broker"}, "mqtt.url: "),
        ("images", {"exclude": [""]}, "images.exclude: the 1st entry: is an empty pattern"),
    ],
)
def test_a_bad_key_is_named_with_the_way_out(
    lone_host: RealHost, section: str, keys: dict[str, object], named: str
) -> None:
    lone_host.configure(**{section: keys})
    done = lone_host.run("run")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{lone_host.config}: {named}" in done.stderr


def test_bad_files_options_and_variables_are_wrong_use(lone_host: RealHost) -> None:
    lone_host.config.write_text("[policy\nttl = 3")
    broken = lone_host.run("plan")
    lone_host.config.unlink()
    missing = lone_host.run("plan")
    lone_host.configure()
    wrong = [
        (broken, "is not valid TOML"),
        (missing, "cannot be read"),
        (lone_host.run("plan", env={"TORCHKEEPER_POLICY__TLL": "3d"}), "policy.tll"),
        (lone_host.run("plan", env={"TORCHKEEPER_POLCY__TTL": "3d"}), "TORCHKEEPER_POLCY__TTL"),
        (lone_host.run("pause", "--for", "soon"), "--for: 'soon' is not a duration"),
        (lone_host.run("history", "--since", "0s"), "--since: must be longer than 0"),
        (lone_host.run("plan", "--everything"), "No such option"),
    ]
    assert [(done.returncode, text in done.stderr) for done, text in wrong] == [(2, True)] * len(wrong)


def test_the_environment_overrides_the_file(lone_host: RealHost) -> None:
    image = lone_host.torch("team/train:1")
    done = lone_host.run("explain", image, env={"TORCHKEEPER_POLICY__TTL": "7d"})
    assert "TTL 7 d" in " ".join(done.stdout.split())


def test_a_damaged_state_is_moved_aside_and_everything_counts_as_first_seen(
    host: RealHost, collector: AcceptanceCollector
) -> None:
    host.configure(policy={"ttl": "1h"})
    image = host.torch("team/train:1")
    with host.agent():
        first_seen = host.row(image)["idle_since"]
    whole = (host.state / "state.db").read_bytes()
    (host.state / "state.db").write_bytes(whole[:100] + b"\xff" * (len(whole) - 100))
    code, found = host.checks()
    assert (code, "damaged" in found["state"]["detail"]) == (1, True)
    with host.agent():
        proc.eventually(lambda: collector.alerts(NAME) == {"state-damaged"})
        assert host.row(image)["idle_since"] > first_seen
        assert host.row(image)["reason"] == "recent"
    aside = list(host.state.glob("state.db.damaged-*"))
    assert len(aside) == 1
    assert aside[0].name in collector.read(f"{NAME}/alerts/state-damaged")["message"]
    with host.agent():
        proc.eventually(lambda: collector.alerts(NAME) == set())


def test_a_state_of_a_newer_schema_is_refused_and_left_as_it_is(lone_host: RealHost) -> None:
    lone_host.json("sweep")
    path = lone_host.state / "state.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    before = path.read_bytes()
    for command in ("run", "sweep", "plan", "history"):
        done = lone_host.run(command)
        assert (done.returncode, "written by a newer torchkeeper (schema 999" in done.stderr) == (1, True)
    code, found = lone_host.checks()
    assert (code, "newer torchkeeper" in found["state"]["hint"]) == (1, True)
    assert path.read_bytes() == before


def test_an_image_nobody_can_have_made_up_is_only_data(host: RealHost, collector: AcceptanceCollector) -> None:
    hostile = {"torchkeeper.ttl": "soon", "x": "\x1b[31mred\n[bold]y[/bold]"}
    image = host.torch("team/odd:1", labels=hostile, env={"PYTORCH_HOME": "\x1b[31m[red]$(reboot)"})
    with host.agent():
        row = collector.await_image(NAME, image, lambda item: item["reason"] == "label-keep")
        shown = host.run("explain", "team/odd:1")
    assert "torchkeeper.ttl: 'soon' is not a duration" in row["warnings"][0]
    assert (shown.returncode, "\x1b" in shown.stdout, "[red]$(reboot)" in shown.stdout) == (0, False, True)


def test_an_unknown_image_cannot_be_pinned_and_half_an_id_may_mean_two(lone_host: RealHost) -> None:
    assert "no image 'none:1' here" in lone_host.run("pin", "none:1").stderr
    ids = [lone_host.torch(f"team/many:{number}") for number in range(17)]
    first = max("0123456789abcdef", key=lambda digit: sum(image[7] == digit for image in ids))
    done = lone_host.run("pin", first)
    assert (done.returncode, "is ambiguous" in done.stderr, "give more of it" in done.stderr) == (1, True, True)
    assert not (lone_host.state / overrides.FILE).exists()
    assert images.image_id(lone_host.engine, "team/many:0") == ids[0]
