"""Which folder has the pins: every command uses the folder that the running agent reads, or fails and names it."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.as_user import UID, User
from tests.acceptance.collector import AcceptanceCollector
from tests.acceptance.host import NAME, RealHost
from tests.acceptance.test_check import as_plain_user, somebody_elses
from tests.acceptance.test_full_disk import fill
from tests.support import engines, proc

pytestmark = engines.ON_ONE

WRITING = [("run",), ("sweep",), ("pin", "team/kept:1"), ("unpin", "team/kept:1"), ("pause",), ("resume",)]


@pytest.fixture
def own_disk(lone_host: RealHost) -> Iterator[Path]:
    """A small file system of its own under the state folder."""
    state = lone_host.state
    state.mkdir()
    mount("-t", "tmpfs", "-o", "size=20m", "tmpfs", state)  # the reserve takes 16 MiB of it
    try:
        yield state
    finally:
        subprocess.run(["umount", "--lazy", state], check=True)


def mount(*args: object) -> None:
    done = subprocess.run(["mount", *map(str, args)], capture_output=True, text=True, check=False)
    proc.require(done.returncode == 0, f"mounting needs CAP_SYS_ADMIN: {done.stderr}")


@pytest.fixture
def user(lone_host: RealHost) -> Iterator[User]:
    """A user without root, for whom the configured folder is one that only root can make."""
    lone_host.configure(agent={"state_dir": lone_host.folder / "var" / "torchkeeper"})
    (lone_host.folder / "var").mkdir()
    made = User(lone_host)
    with somebody_elses(lone_host.engine.socket, 0o660):
        yield made


def refused(host: RealHost, *named: str) -> None:
    """Every command that writes fails, names all this, and makes no other folder."""
    xdg = host.folder / "xdg"
    for command in WRITING:
        done = host.run(*command, env={"XDG_STATE_HOME": str(xdg)})
        assert (done.returncode, done.stdout) == (1, ""), command
        assert [text for text in ("agent.state_dir", *named) if text not in done.stderr] == [], (command, done.stderr)
    assert not xdg.exists()


# A folder that is there, and cannot be written


def test_a_read_only_remount_stops_what_writes_and_nobody_falls_back(lone_host: RealHost, own_disk: Path) -> None:
    host = lone_host
    host.torch("team/kept:1")
    host.output_of("pin", "team/kept:1")
    host.json("sweep")
    mount("-o", "remount,ro", own_disk)
    refused(host, str(own_disk), "read-only file system", "remount it")
    assert host.reasons() == {"team/kept:1": "pinned"}
    code, found = host.checks()
    assert (code, found["state"]["ok"], found["pins"]["detail"]) == (1, False, "1 pinned")
    assert "read-only file system" in found["state"]["detail"]


def test_a_folder_that_root_cannot_make_is_an_error_too(lone_host: RealHost, own_disk: Path) -> None:
    lone_host.torch("team/kept:1")
    mount("-o", "remount,ro", own_disk)
    lone_host.configure(agent={"state_dir": own_disk / "below"})
    refused(lone_host, f"{own_disk}/below is on a read-only file system")


def test_a_read_only_bind_mount_beside_a_running_agent_refuses_a_pin(lone_host: RealHost) -> None:
    host = lone_host
    host.torch("team/kept:1")
    host.configure(policy={"ttl": "1h"})
    with host.agent():
        mount("--bind", host.state, host.state)
        try:
            mount("-o", "remount,bind,ro", host.state)
            pinned = host.run("pin", "team/kept:1")
            reasons = host.reasons()
        finally:
            subprocess.run(["umount", "--lazy", host.state], check=True)
    assert (pinned.returncode, "read-only file system" in pinned.stderr) == (1, True)
    assert reasons == {"team/kept:1": "recent"}


def test_a_file_in_its_place_is_named_and_no_hint_says_to_make_it_writable(lone_host: RealHost) -> None:
    lone_host.torch("team/kept:1")
    for place in ("/etc/passwd", "/etc/passwd/state"):
        lone_host.configure(agent={"state_dir": place})
        refused(lone_host, "/etc/passwd is not a folder; set a folder")
        code, found = lone_host.checks()
        assert (code, found["state"]["ok"]) == (1, False)
        assert "writable" not in str(found["state"])


def test_a_link_that_leads_nowhere_is_named(lone_host: RealHost) -> None:
    lone_host.torch("team/kept:1")
    lone_host.state.symlink_to(lone_host.folder / "late" / "mount")
    refused(lone_host, f"{lone_host.state} is a dangling link to {lone_host.folder}/late/mount")
    assert not (lone_host.folder / "late").exists()


def test_another_users_folder_is_refused_and_its_owner_named(lone_host: RealHost, user: User) -> None:
    configured = lone_host.folder / "var" / "torchkeeper"
    configured.mkdir(mode=0o755)
    for command in ("run", "sweep", "pause", "resume"):
        done = user.run(command)
        assert (done.returncode, done.stdout) == (1, ""), done.stderr
        assert f"agent.state_dir: {configured}: Permission denied for uid {UID}" in done.stderr
        assert "it belongs to root; run this as that user, or set another folder" in done.stderr
    assert not user.fallback.exists()


def test_a_user_who_may_not_enter_the_folder_is_shown_which_user_may(lone_host: RealHost) -> None:
    lone_host.torch("team/kept:1")
    lone_host.json("sweep")
    with somebody_elses(lone_host.state, 0o700):
        commands = ["plan", "images", "history", "lint", "explain team/kept:1", "sweep --dry-run", "pause"]
        done = [as_plain_user(lone_host, *command.split()) for command in commands]
        checked = as_plain_user(lone_host, "check", "--json")
    assert [result.returncode for result in (*done, checked)] == [1] * 8
    assert [result.stderr for result in done if "run this as" not in result.stderr] == []
    found = {item["name"]: item for item in json.loads(checked.stdout)["checks"]}
    assert (found["state"]["ok"], found["pins"]["ok"]) == (False, False)
    assert found["pins"]["hint"] == "run this as the agent's user"


# A full disk


def test_an_agent_that_starts_on_a_full_disk_releases_its_reserve_and_evicts(
    lone_host: RealHost, own_disk: Path
) -> None:
    host = lone_host
    with host.agent():
        proc.eventually((own_disk / "reserve").exists)
    image = host.torch("team/idle:1")
    fill(own_disk)
    assert os.statvfs(own_disk).f_bavail == 0
    assert host.rows().keys() == {image}  # looking needs no room
    with host.agent():
        host.await_gone(image)
        proc.eventually(lambda: outcomes(host, image) == ["removed"])


def outcomes(host: RealHost, image: str) -> list[str]:
    """The outcomes of an image, by `history`."""
    return [item["data"]["outcome"] for item in host.events(image) if item["type"].endswith("outcome")]


def test_a_pause_on_a_full_disk_takes_effect(lone_host: RealHost, own_disk: Path) -> None:
    lone_host.json("sweep")
    fill(own_disk)
    assert lone_host.output_of("pause") == "paused until `torchkeeper resume`"
    assert not (own_disk / "reserve").exists()


def test_a_full_disk_without_a_reserve_is_named(lone_host: RealHost, own_disk: Path) -> None:
    lone_host.json("sweep")
    (own_disk / "reserve").unlink()
    fill(own_disk)
    done = lone_host.run("run")
    assert (done.returncode, "state.db: the disk is full; free some room on it" in done.stderr) == (1, True)


# The fallback of a user without root


@pytest.mark.direct  # another user may not use the proxy of the test
def test_a_user_without_root_falls_back_aloud_and_a_pin_acts_where_the_agent_reads(
    lone_host: RealHost, user: User
) -> None:
    configured = lone_host.folder / "var" / "torchkeeper"
    image = lone_host.torch("team/kept:1")
    assert user.run("pause").returncode == 0
    with user.agent():
        assert (
            user.count_in_log(f"{configured} does not exist, and uid {UID} cannot create it; using {user.fallback}")
            == 1
        )
        pinned = user.run("pin", "team/kept:1")
        planned = user.run("plan", "--json")
        checked = user.run("check", "--json")
        resumed = user.run("resume")
        lone_host.evict_a_control_image()
        assert lone_host.has_image(image)
        unpinned = user.run("unpin", "team/kept:1")
        lone_host.await_gone(image)
    for done in (pinned, resumed, unpinned):
        assert (done.returncode, f"note: the agent reads {user.fallback}" in done.stderr) == (0, True)
    document = json.loads(planned.stdout)
    reasons = {item["references"][0]: item["reason"] for item in document["images"] if item["references"]}
    assert reasons["team/kept:1"] == "pinned"
    state = {item["name"]: item for item in json.loads(checked.stdout)["checks"]}["state"]
    assert (state["ok"], state["detail"].startswith(f"{user.fallback}: an agent runs on it")) == (True, True)
    assert not configured.exists()


@pytest.mark.direct  # another user may not use the proxy of the test
def test_where_both_folders_exist_a_pin_fails_and_names_the_one_that_the_agent_reads(
    lone_host: RealHost, user: User
) -> None:
    lone_host.configure(policy={"ttl": "1h"})
    configured = lone_host.folder / "var" / "torchkeeper"
    lone_host.torch("team/kept:1")
    with user.agent():
        configured.mkdir()
        user.owns(configured)
        changes = [user.run(*command) for command in (["pin", "team/kept:1"], ["unpin", "x:1"], ["pause"], ["resume"])]
        others = [user.run("run"), user.run("sweep")]
        looked, checked = user.run("history"), user.run("check", "--json")
    for done in changes:
        assert (done.returncode, done.stdout) == (1, ""), done.stderr
        assert f"nothing was changed: an agent reads {user.fallback}, not {configured}" in done.stderr
        assert f"set agent.state_dir to {user.fallback}" in done.stderr
    assert [(done.returncode, f"an agent runs on {user.fallback}" in done.stderr) for done in others] == [(1, True)] * 2
    assert f"an agent reads {user.fallback}, not {configured}" in looked.stderr
    state = {item["name"]: item for item in json.loads(checked.stdout)["checks"]}["state"]
    assert (state["ok"], state["hint"]) == (False, f"restart that agent, or set agent.state_dir to {user.fallback}")
    assert list(configured.iterdir()) == []


def test_pins_that_stayed_in_the_fallback_are_an_alert_and_fail_the_check(lone_host: RealHost, user: User) -> None:
    lone_host.configure(policy={"ttl": "1h"})
    configured = lone_host.folder / "var" / "torchkeeper"
    lone_host.torch("team/kept:1")
    with user.agent():
        assert user.run("pin", "team/kept:1").returncode == 0
    configured.mkdir()
    user.owns(configured)
    words = f"1 pin(s) in {user.fallback}/overrides/holds.json have no effect: this agent reads {configured}"
    with user.agent():
        assert user.count_in_log(words) == 1
    checked = user.run("check", "--json")
    pins = {item["name"]: item for item in json.loads(checked.stdout)["checks"]}["pins"]
    assert (checked.returncode, pins["ok"], words in pins["detail"]) == (1, False, True)


# Without an agent, and as root beside an agent of another user


def test_a_pin_without_an_agent_works_and_says_that_none_runs(lone_host: RealHost) -> None:
    lone_host.torch("team/kept:1")
    for command in (["pin", "team/kept:1"], ["pause"], ["resume"], ["unpin", "team/kept:1"]):
        done = lone_host.run(*command)
        assert (done.returncode, f"no agent runs on {lone_host.state} now" in done.stderr) == (0, True)


def test_a_pin_beside_the_agent_says_nothing_more(lone_host: RealHost) -> None:
    lone_host.configure(policy={"ttl": "1h"})
    lone_host.torch("team/kept:1")
    with lone_host.agent():
        assert lone_host.run("pin", "team/kept:1").stderr == ""


def test_files_that_root_makes_in_a_folder_belong_to_its_owner(lone_host: RealHost, user: User) -> None:
    configured = lone_host.folder / "var" / "torchkeeper"
    configured.mkdir(mode=0o700)
    user.owns(configured)
    image = lone_host.torch("team/kept:1")
    assert lone_host.run("pause").returncode == lone_host.run("sweep").returncode == 0
    with user.agent():
        assert lone_host.run("pin", "team/kept:1").returncode == 0
        assert {path.stat().st_uid for path in configured.iterdir()} == {UID}
        assert user.run("resume").returncode == 0
        lone_host.evict_a_control_image()
        assert lone_host.has_image(image)
        assert user.run("unpin", "team/kept:1").returncode == 0
        lone_host.await_gone(image)


def test_a_folder_that_is_no_longer_the_agents_stops_every_eviction(
    host: RealHost, collector: AcceptanceCollector
) -> None:
    host.configure(policy={"ttl": "2s"})
    host.torch("team/kept:1")
    host.output_of("pin", "team/kept:1")
    with host.agent():
        host.evict_a_control_image()
        host.state.rename(host.folder / "moved")
        host.state.mkdir()
        proc.eventually(lambda: "holds-unreadable" in collector.alerts(NAME))
        assert host.has_image(host.engine.docker("images", "--no-trunc", "--quiet", "team/kept:1"))
