"""Users without root: members of the group `torchkeeper` read the state and change pins; others are told the way in."""

import json
import stat
from collections.abc import Iterator

import pytest

from agent.adapters import overrides
from tests.acceptance.host import WATCHING
from tests.support import dockerd, engines, images, members, proc
from tests.support.members import ALICE, CAROL, GROUP, MALLORY, ROOT, System

READING = ("plan", "images", "explain team/kept:1", "history", "pins", "lint", "check", "sweep --dry-run")
CHANGING = ("pin team/kept:1", "unpin team/kept:1", "pause", "resume")
WAY_IN = "only the group torchkeeper may use it: run `sudo usermod -aG torchkeeper mallory`, then log in again"


@pytest.fixture(scope="module")
def shared(pool_of_engines: engines.Pool) -> Iterator[System]:
    """A system with one PyTorch image and the state that an agent left."""
    engine: dockerd.Dockerd = pool_of_engines.get(engines.KINDS[0])
    engine.empty()
    images.import_image(engine, "team/kept:1", env={"PYTORCH_VERSION": "2.4.0"})
    with members.system(engine) as system:
        proc.write_config(
            system.config,
            agent={"host": "gpu-01", "state_dir": system.state},
            docker={"url": f"unix://{system.folder}/docker.sock"},
            policy={"ttl": "1h", "min_age": "0s", "local_images": "evict"},
        )
        system.state.mkdir(mode=0o755)  # as a hand that knows nothing of the group makes it
        with system.agent(WATCHING):
            pass
        yield system


def modes(system: System) -> dict[str, tuple[str, int, int]]:
    """Name -> mode, owner and group of what is in the state folder, and of the folder itself as "."."""
    found = {".": system.state, **{str(path.relative_to(system.state)): path for path in system.state.rglob("*")}}
    stats = {name: path.lstat() for name, path in found.items()}
    return {name: (oct(stat.S_IMODE(one.st_mode)), one.st_uid, one.st_gid) for name, one in stats.items()}


def test_the_agent_lets_the_group_read_its_state_and_write_only_the_overrides(shared: System) -> None:
    with shared.agent(WATCHING):
        found = modes(shared)
    readable = ("0o640", 0, GROUP)
    files = {"state.db", "state.db-wal", "state.db-shm", "agent.lock", "alerts.json", "reserve"}
    assert found == {
        ".": ("0o2750", 0, GROUP),
        "overrides": ("0o2770", 0, GROUP),
        **dict.fromkeys(files, readable),
    }


def test_a_member_can_do_everything_beside_the_agent_but_sweep(shared: System) -> None:
    with shared.agent(WATCHING):
        done = {line: shared.run(ALICE, *line.split()) for line in (*CHANGING, "plan", "history", "pins", "check")}
        swept = shared.run(ALICE, "sweep", "--dry-run")
    assert {line: one.stderr for line, one in done.items() if one.returncode} == {}
    assert (swept.returncode, "an agent runs on" in swept.stderr) == (1, True)


def test_a_member_can_do_everything_without_an_agent_but_remove(shared: System) -> None:
    done = {line: shared.run(ALICE, *line.split()) for line in ("pin team/kept:1", *READING, "unpin team/kept:1")}
    assert {line: one.stderr for line, one in done.items() if one.returncode} == {}
    assert "pinned by alice" in " ".join(done["explain team/kept:1"].stdout.split())
    swept = shared.run(ALICE, "sweep")
    assert (swept.returncode, "it belongs to root; run this as that user" in swept.stderr) == (1, True)


def test_a_member_reads_the_state_that_a_killed_agent_left(shared: System) -> None:
    with shared.agent(WATCHING) as agent:
        agent.kill()
        assert (shared.state / "state.db-wal").stat().st_size > 0
        done = shared.run(ALICE, "history", "--json")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_pin_records_who_made_it_also_by_sudo(shared: System) -> None:
    assert shared.run(ALICE, "pin", "team/kept:1", "--for", "30d", "--reason", "the paper").returncode == 0
    document = json.loads(shared.run(ALICE, "pins", "--json").stdout)
    assert [(pin["reference"], pin["reason"], pin["by"]) for pin in document["pins"]] == [
        ("team/kept:1", "the paper", "alice")
    ]
    assert document["paused"] is None
    assert shared.run(ROOT, "pin", "team/kept:1", SUDO_USER="bob").returncode == 0
    listed = " ".join(shared.run(ALICE, "pin").stdout.split())
    assert listed == "UNTIL (UTC) BY IMAGE AND WHY unpinned bob team/kept:1"
    assert shared.run(ALICE, "unpin", "team/kept:1").returncode == 0
    assert modes(shared)[overrides.FILE] == ("0o660", ALICE.uid, GROUP)


def test_a_member_without_docker_pins_by_name_and_is_told_what_needs_docker(shared: System) -> None:
    pinned = shared.run(CAROL, "pin", "team/kept:1")
    assert (pinned.returncode, pinned.stdout) == (0, "pinned team/kept:1\n")
    assert "this user may not ask Docker, so nobody checked that 'team/kept:1' is here" in pinned.stderr
    assert shared.run(CAROL, "history").returncode == shared.run(CAROL, "pins").returncode == 0
    planned = shared.run(CAROL, "plan")
    assert (planned.returncode, planned.stdout, planned.stderr.count("\n")) == (1, "", 1)
    assert "member of the socket's group" in planned.stderr
    assert shared.run(CAROL, "unpin", "team/kept:1").returncode == 0


def test_a_stranger_is_told_in_one_sentence_how_to_get_in(shared: System) -> None:
    for line in (*READING, *CHANGING):
        done = shared.run(MALLORY, *line.split())
        said = " ".join((done.stdout if line == "check" else done.stderr).split())
        assert (done.returncode, WAY_IN in said) == (1, True), (line, said)
        if line != "check":
            assert (done.stdout, done.stderr.count("\n")) == ("", 1), line


def test_a_member_since_a_later_login_is_told_to_log_in_again(shared: System) -> None:
    before = members.Person("alice", ALICE.uid, (members.DOCKER_GROUP,))
    done = shared.run(before, "history")
    assert done.returncode == 1
    assert "alice joined the group torchkeeper after this login: log in again" in done.stderr


def test_a_member_cannot_replace_the_state(shared: System) -> None:
    for command in ("mv state.db elsewhere", "rm state.db", "touch new", "sh -c 'echo >> state.db'", "rmdir overrides"):
        done = shared.run_program(ALICE, "sh", "-c", f"cd {shared.state} && {command}")
        assert done.returncode != 0, command


@pytest.mark.parametrize("planted", ["link", "fifo", "huge", "folder"])
def test_what_a_member_plants_stops_evictions_and_nothing_else(shared: System, planted: str) -> None:
    secret = shared.folder / "secret"
    secret.write_text("the password of root")
    secret.chmod(0o600)
    file = shared.state / overrides.FILE
    commands = {"link": f"ln -s {secret}", "fifo": "mkfifo", "huge": "truncate -s 50G", "folder": "mkdir"}
    assert shared.run_program(ALICE, "sh", "-c", f"rm -rf {file}; {commands[planted]} {file}").returncode == 0
    before = secret.stat().st_mtime_ns, secret.stat().st_uid, secret.stat().st_mode
    try:
        planned, paused = shared.run(ROOT, "plan", "--json"), shared.run(ROOT, "pause")
    finally:
        shared.run_program(ROOT, "rm", "-rf", str(file))
    rows = json.loads(planned.stdout)["images"]
    assert [row["held_by"] for row in rows if row["action"] == "evict"] == []
    assert "nothing is evicted until then" in planned.stdout
    assert (paused.returncode, "the password" in planned.stdout + paused.stderr) == (1, False)
    assert (secret.stat().st_mtime_ns, secret.stat().st_uid, secret.stat().st_mode) == before
