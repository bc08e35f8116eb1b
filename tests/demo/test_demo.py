"""The demo, run as people run it: one whole performance, one that is interrupted, and those that cannot begin."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import tomllib
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent import demo
from agent.adapters.sqlite import state_dir
from agent.core.protocol.new_events import NewEvent
from agent.demo import events, simulated_hosts
from agent.demo.environment import HOST, DemoEnvironment
from agent.fleet import extra
from tests.support import dockerd, images, orphans, proc

GOES = {
    "teamai/pytorch:2.1-cuda11.8",
    "teamai/pytorch:2.4-cuda12.1",
    "nvcr.io/nvidia/pytorch:24.01-py3",
    "vision/detector:v3",
}
STAYS = {
    "teamai/pytorch:2.5-cuda12.4": "in-use",
    "pytorch/pytorch:2.2.0-cuda12.1-cudnn8-runtime": "pinned",
    "teamai/pytorch:latest": "protected-tag",
    "postgres:16": "not-pytorch",
    "ollama/ollama:0.5.4": "not-pytorch",
}


@dataclass(frozen=True)
class Performance:
    """One run to its end, and what was left of it then."""

    code: int
    out: str
    err: str
    left: tuple[list[int], list[str], list[Path]]  # processes, mounts, files

    def chapter(self, title: str) -> list[str]:
        """The lines of the summary below a title."""
        return self.out.split(f"\n{title}\n")[1].split("\n\n")[0].splitlines()


@contextmanager
def own_tmp() -> Iterator[Path]:
    """A folder for TMPDIR, whose path is short enough for an engine's sockets; emptied of what a bad demo leaves."""
    folder = Path(tempfile.mkdtemp(prefix="d-", dir="/tmp"))
    orphans.note_folder(folder)
    try:
        yield folder
    finally:
        dockerd.end_processes_of(folder)
        for point in reversed(dockerd.mounts_under(folder)):
            subprocess.run(["umount", "--lazy", point], check=False)
        shutil.rmtree(folder)


def left_in(folder: Path) -> tuple[list[int], list[str], list[Path]]:
    return dockerd.processes_of(folder), dockerd.mounts_under(folder), list(folder.iterdir())


def interrupt(
    folder: Path, *args: str, at: str, number: signal.Signals, before: Callable[[Path], None] = lambda _: None
) -> Performance:
    """Start the demo, and send it a signal as soon as it has said `at`; `before` that, do this in its folder."""
    with tempfile.TemporaryDirectory() as logs:
        run = proc.Daemon([*proc.command(), "demo", *args], Path(logs, "out"), environment(TMPDIR=str(folder)))
        run.start()
        try:
            run.wait_until(lambda: at in run.output(), timeout=3 * proc.COMMAND)
            before(folder)
            os.kill(run.pid, number)
            proc.eventually(lambda: run.returncode() is not None)
        finally:
            code = run.stop(grace=30.0)
        return Performance(code, run.output(), "", left_in(folder))


def dump_stacks(folder: Path) -> None:
    """Make containerd write its stacks to a file, as dockerd does where containerd is slow to answer."""
    (containerd,) = [pid for pid in dockerd.processes_of(folder) if proc_name(pid) == "containerd"]
    os.kill(containerd, signal.SIGUSR1)
    proc.eventually(lambda: list(folder.rglob("containerd.*.stacks.log")))


def proc_name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def environment(**more: str) -> Mapping[str, str]:
    """What a user has, without what would steer the command or colour its output."""
    steering = ("TORCHKEEPER_", "DOCKER_", "FORCE_COLOR", "COLUMNS", "TTY_")
    return {k: v for k, v in os.environ.items() if not k.startswith(steering)} | {"PATH": proc.SYSTEM_PATH} | more


@pytest.fixture(scope="module")
def performance() -> Iterator[Performance]:
    proc.require_root()
    for program, package in (("dockerd", "docker.io"), ("mosquitto", "mosquitto"), ("busybox", "busybox-static")):
        proc.require_program(program, package)
    with own_tmp() as folder:
        done = subprocess.run(
            [*proc.command(), "demo"],
            env=environment(TMPDIR=str(folder)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=3 * proc.COMMAND,
        )
        yield Performance(done.returncode, done.stdout, done.stderr, left_in(folder))


pytestmark = pytest.mark.timeout(1200)  # seconds


@pytest.mark.real
def test_the_demo_ends_well_and_complains_of_nothing(performance: Performance) -> None:
    assert (performance.code, performance.err) == (0, "")


@pytest.mark.real
def test_it_shows_which_images_were_evicted(performance: Performance) -> None:
    rows = [line.split() for line in performance.chapter("WHAT WAS REMOVED, AND WHY") if line.startswith("removed")]
    assert sorted(rows) == [["removed", "idle-ttl", ref] for ref in sorted(GOES)]


@pytest.mark.real
def test_it_shows_which_images_stayed_and_for_which_reason(performance: Performance) -> None:
    rows = [line.split() for line in performance.chapter("WHAT STAYED, AND WHY") if line.startswith("keep")]
    assert {row[2]: row[1] for row in rows} == STAYS


@pytest.mark.real
def test_it_shows_each_removal_as_the_broker_reports_it_with_the_sentence_that_explains_it(
    performance: Performance,
) -> None:
    sentence = r"idle \d+ (?:s|min[^,]*), TTL \d+ (?:s|min[^;]*); frees about \d"  # in minutes on a slow machine
    evicted = re.findall(rf"EVICT  (\S+) -> removed\n +{sentence}", performance.out)
    assert set(evicted) == GOES
    assert "Source: MQTT." in performance.out


@pytest.mark.real
def test_the_image_that_was_used_for_a_second_outlives_its_sibling_and_the_base_its_child(
    performance: Performance,
) -> None:
    times = {ref: float(at) for at, ref in re.findall(r"([\d.]+) s  EVICT  (\S+)", performance.out)}
    order = list(times)
    assert times["teamai/pytorch:2.4-cuda12.1"] - times["teamai/pytorch:2.1-cuda11.8"] > 5.0
    assert order.index("vision/detector:v3") < order.index("nvcr.io/nvidia/pytorch:24.01-py3")


@pytest.mark.real
def test_it_counts_the_bytes_of_the_layers_that_went(performance: Performance) -> None:
    found = re.search(r"4 images removed, about (\d+) MB freed", performance.out)
    assert found is not None
    assert 119 < int(found[1]) < 135  # four layers of 31, 38, 44 and 6 MB, and a busybox in each of three


@pytest.mark.real
def test_its_output_in_a_pipe_is_plain_and_fits_80_columns(performance: Performance) -> None:
    strange = {char for char in performance.out if char != "\n" and not char.isprintable()}
    wide = [line for line in performance.out.splitlines() if len(line) > 80 or line != line.rstrip()]
    assert (strange, wide) == (set(), [])


@pytest.mark.real
def test_it_leaves_no_process_no_mount_and_no_file(performance: Performance) -> None:
    assert performance.left == ([], [], [])


@pytest.mark.real
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_early_and_cleans_up(number: signal.Signals) -> None:
    proc.require_root()
    proc.require_program("dockerd", "docker.io")
    with own_tmp() as folder:
        ended = interrupt(folder, at="THE PLAN", number=number, before=dump_stacks)
    assert (ended.code, ended.left) == (128 + number, ([], [], []))
    assert "Traceback" not in ended.out


def test_on_an_engine_of_the_user_only_what_the_demo_made_is_removed(fresh_engine: dockerd.Dockerd) -> None:
    images.import_image(fresh_engine, "pytorch/pytorch:1.13.1", env={"PYTORCH_VERSION": "1.13.1"})
    images.run(fresh_engine, "pytorch/pytorch:1.13.1", "/bin/busybox", "true", name="mine")
    before = (fresh_engine.images(), [item["Id"] for item in fresh_engine.containers()])
    with own_tmp() as folder:
        ended = interrupt(folder, "--engine", fresh_engine.url, at="THE PLAN", number=signal.SIGINT)
    assert (ended.code, ended.left) == (130, ([], [], []))
    assert f"torchkeeper-demo/{next(iter(GOES))}" in ended.out
    assert (fresh_engine.images(), [item["Id"] for item in fresh_engine.containers()]) == before


def test_on_an_engine_with_images_of_its_name_it_does_not_begin(fresh_engine: dockerd.Dockerd) -> None:
    images.import_image(fresh_engine, "torchkeeper-demo/mine:1")
    done = proc.torchkeeper("demo", "--engine", fresh_engine.url)
    assert (done.returncode, done.stderr) == (
        1,
        "torchkeeper: this engine already has images of a demo; remove them first: docker rmi "
        "torchkeeper-demo/mine:1\n",
    )
    assert fresh_engine.references() == {"torchkeeper-demo/mine:1"}


async def test_without_a_broker_it_hears_each_event_of_the_history_once(tmp_path: Path) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    store, _ = state_dir.open_store(tmp_path, now)
    heard = events.from_history(tmp_path)
    for number in (1, 2):
        await store.log(NewEvent("torchkeeper.outcome", now, f"sha256:{number}", {}))
        event = await anext(heard)
        assert (event.type, event.subject) == ("torchkeeper.outcome", f"sha256:{number}")
    await store.close()


@pytest.mark.parametrize(("took", "ttl"), [(0.5, "30s"), (14.0, "112s")])
async def test_the_ttl_of_its_agent_is_longer_where_commands_are_slow(tmp_path: Path, took: float, ttl: str) -> None:
    proc.require_program("busybox", "busybox-static")
    demo_environment = DemoEnvironment("unix:///none.sock", tmp_path / "kept")
    await demo_environment.open()
    try:
        demo_environment.keep_pace(took)
        assert tomllib.loads(demo_environment.config.read_text())["policy"]["ttl"] == ttl
    finally:
        await demo_environment.close()


def test_without_dockerd_it_says_so_and_how_to_continue(tmp_path: Path) -> None:
    done = proc.torchkeeper("demo", env={"PATH": str(tmp_path)})
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        "",
        "torchkeeper: no dockerd on the PATH for a private engine: apt-get install docker.io, "
        "or give an engine you may use: torchkeeper demo --engine unix:///var/run/docker.sock\n",
    )


def test_a_user_who_is_not_root_is_shown_how_to_continue(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/sbin/{name}")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert demo.run() == 1
    assert capsys.readouterr().err == (
        "torchkeeper: a private engine needs root: sudo torchkeeper demo, "
        "or give an engine you may use: torchkeeper demo --engine unix:///var/run/docker.sock\n"
    )


def test_an_engine_that_cannot_start_is_reported_with_its_last_lines(tmp_path: Path) -> None:
    proc.require_root()
    proc.require_program("busybox", "busybox-static")
    program = tmp_path / "dockerd"
    program.write_text("#!/bin/sh\necho failed to mount overlay: operation not permitted >&2\nexit 3\n")
    program.chmod(0o755)
    with own_tmp() as folder:
        path = f"{tmp_path}:{proc.SYSTEM_PATH}"
        done = proc.torchkeeper("demo", env={"PATH": path, "TMPDIR": str(folder)})
        assert left_in(folder) == ([], [], [])
    assert (done.returncode, done.stderr) == (
        1,
        "torchkeeper: the private engine (dockerd) ended by itself with 3: "
        "failed to mount overlay: operation not permitted\n",
    )


@pytest.mark.real
def test_with_the_page_it_ends_with_a_monitor_that_has_the_history_of_the_demo_until_ctrl_c() -> None:
    proc.require_root()
    for program, package in (("dockerd", "docker.io"), ("mosquitto", "mosquitto"), ("busybox", "busybox-static")):
        proc.require_program(program, package)
    found: dict[str, Any] = {}

    def ask(folder: Path) -> None:
        (config,) = folder.glob("*/monitor.toml")
        url = f"http://{tomllib.loads(config.read_text())['monitor']['listen']}"
        for path in ("/api/hosts", "/api/decisions?limit=1000"):
            with urllib.request.urlopen(url + path) as response:
                found.update(json.load(response))

    with own_tmp() as folder:
        ended = interrupt(folder, "--page", at="THE PAGE STAYS", number=signal.SIGINT, before=ask)
    assert (ended.code, ended.left) == (0, ([], [], []))
    assert {host["host"] for host in found["hosts"]} == {HOST, *(host.name for host in simulated_hosts.HOSTS)}
    own = [item for item in found["decisions"] if item["host"] == HOST]
    assert sorted((item["outcome"], *item["references"]) for item in own) == sorted(("removed", ref) for ref in GOES)
    assert len(found["decisions"]) > len(own)
    assert "WHAT WAS REMOVED, AND WHY" in ended.out


def test_the_page_without_the_packages_of_the_monitor_names_the_command_that_installs_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(extra, "PACKAGES", ("a_package_that_is_not_here",))
    assert demo.run(with_page=True) == 2
    assert capsys.readouterr() == (
        "",
        "torchkeeper: torchkeeper demo --page needs: pip install 'torchkeeper[monitor]'\n",
    )


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (
            ("--engine", "ssh://gpu-07"),
            "--engine: 'ssh://gpu-07' is not unix:///path/to/docker.sock or tcp://host:port",
        ),
        (("--engine", "unix:///none.sock", "--keep", "/usr"), "--keep: /usr is not empty; name a new folder"),
    ],
)
def test_wrong_use_ends_with_2_before_anything_is_begun(args: tuple[str, ...], says: str) -> None:
    done = proc.torchkeeper("demo", *args)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"torchkeeper: {says}\n")
