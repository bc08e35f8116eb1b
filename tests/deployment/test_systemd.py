"""systemd's own tools accept the units; and, by `make test-deployment`, a real systemd runs them."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deployment import systemd_host
from tests.deployment.files import CONFIG, for_real, run
from tests.deployment.systemd_host import SystemdHost
from tests.support import proc

SYSTEMD = CONFIG / "systemd"
UNITS = sorted(path.name for path in SYSTEMD.glob("*.service"))
AGENT, PROXY = "torchkeeper.service", "torchkeeper-proxy.service"
AGENT_TOML = '[agent]\nhost = "gpu-07"\nmode = "observe"\n'
BEHIND_PROXY = '[docker]\nurl = "unix:///run/torchkeeper/docker.sock"\n'
WATCHING = "watching the engine"


@pytest.fixture(scope="module")
def analyze() -> str:
    return proc.require_program("systemd-analyze", "systemd")


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_understands_each_line_of_a_unit(unit: str, analyze: str) -> None:
    done = subprocess.run([analyze, "verify", "--man=no", SYSTEMD / unit], capture_output=True, text=True, check=False)
    said = [
        line for line in done.stderr.splitlines() if not line.endswith("is not executable: No such file or directory")
    ]
    assert said == []


@pytest.mark.parametrize(("unit", "most"), [(AGENT, 16), (PROXY, 5), ("torchkeeper-monitor.service", 16)])
def test_a_unit_is_exposed_as_little_as_the_documents_say(unit: str, most: int, analyze: str) -> None:
    run(analyze, "security", "--offline=true", "--no-pager", f"--threshold={most}", SYSTEMD / unit)


def test_a_unit_that_gives_more_away_fails_that_test(analyze: str, tmp_path: Path) -> None:
    unit = tmp_path / AGENT
    unit.write_text((SYSTEMD / AGENT).read_text().replace("CapabilityBoundingSet=\n", ""))
    with pytest.raises(AssertionError):
        run(analyze, "security", "--offline=true", "--no-pager", "--threshold=16", unit)


def test_the_agent_can_see_what_its_safety_depends_on() -> None:
    keys = dict(
        line.split("=", 1) for line in (SYSTEMD / AGENT).read_text().splitlines() if "=" in line and line[0] != "#"
    )
    assert (keys["ProtectHome"], keys["Restart"], keys["Type"]) == ("read-only", "always", "notify")
    assert keys.keys() & {"ProcSubset", "ProtectProc", "PrivateUsers", "DynamicUser"} == set()


def test_systemd_makes_the_users_and_the_folders(tmp_path: Path) -> None:
    for name in ("sysusers", "tmpfiles"):
        proc.require_program(f"systemd-{name}", "systemd")
    (tmp_path / "etc").mkdir()
    run("systemd-sysusers", f"--root={tmp_path}", SYSTEMD / "torchkeeper.sysusers.conf")
    run("systemd-tmpfiles", f"--root={tmp_path}", "--create", SYSTEMD / "torchkeeper.tmpfiles.conf")
    groups = [line.split(":") for line in (tmp_path / "etc/group").read_text().splitlines()]
    assert {name: members for name, _, _, members in groups} == {
        "torchkeeper": "",
        "torchkeeper-engine": "torchkeeper",
        "torchkeeper-monitor": "",
        "docker": "",
    }
    gids = {name: gid for name, _, gid, _ in groups}
    state = (tmp_path / "var/lib/torchkeeper").stat()
    assert (oct(state.st_mode), str(state.st_gid)) == ("0o42750", gids["torchkeeper"])
    assert oct((tmp_path / "var/lib/torchkeeper/overrides").stat().st_mode) == "0o42770"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SystemdHost]:
    """A systemd with the units, and an engine."""
    with systemd_host.running(tmp_path_factory.mktemp("systemd")) as running:
        running.write("/etc/torchkeeper/torchkeeper.toml", AGENT_TOML)
        running.run("systemctl", "start", AGENT)
        running.wait_for(AGENT, WATCHING)
        yield running


@for_real
def test_the_agent_runs_without_any_privilege_but_the_socket(host: SystemdHost) -> None:
    status = host.status_of(host.pid(AGENT))
    assert {name: status[name] for name in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp")} == {
        "CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2",
    }  # fmt: skip
    assert status["Uid"].split()[0] == host.run("id", "-u", "torchkeeper")
    assert set(status["Groups"].split()) == numbers_of(host, "torchkeeper", "torchkeeper-engine", "docker")
    assert owner_and_mode(host, "/var/lib/torchkeeper", "/var/lib/torchkeeper/state.db") == [
        "torchkeeper:torchkeeper 2750",
        "torchkeeper:torchkeeper 640",
    ]


@for_real
def test_a_reload_takes_the_new_policy_and_a_person_may_pause_it_meanwhile(host: SystemdHost) -> None:
    as_its_user = ("setpriv", "--reuid=torchkeeper", "--regid=torchkeeper", "--init-groups")
    pid = host.pid(AGENT)
    host.write("/etc/torchkeeper/torchkeeper.toml", AGENT_TOML + '[policy]\nttl = "7d"\n')
    host.run("systemctl", "reload", AGENT)
    host.wait_for(AGENT, "action=reload")
    for command in ("pause", "resume"):
        host.run(*as_its_user, "/opt/torchkeeper/bin/torchkeeper", command)
    assert host.pid(AGENT) == pid


@for_real
def test_the_watchdog_restarts_an_agent_that_hangs(host: SystemdHost) -> None:
    host.write(f"/run/systemd/system/{AGENT}.d/watchdog.conf", "[Service]\nWatchdogSec=5\nTimeoutAbortSec=5\n")
    host.run("systemctl", "daemon-reload")
    host.run("systemctl", "restart", AGENT)
    pid = host.pid(AGENT)
    host.run("kill", f"-{signal.SIGSTOP}", str(pid))
    proc.eventually(lambda: host.pid(AGENT) not in (0, pid))
    assert "Watchdog timeout" in host.journal(AGENT)
    host.run("rm", f"/run/systemd/system/{AGENT}.d/watchdog.conf")
    host.run("systemctl", "daemon-reload")


@for_real
def test_behind_the_proxy_the_agent_watches_without_the_group_of_docker(host: SystemdHost) -> None:
    host.write("/etc/torchkeeper/haproxy.cfg", (CONFIG / "proxy/haproxy.cfg").read_text())
    host.write(f"/etc/systemd/system/{AGENT}.d/proxy.conf", (SYSTEMD / "torchkeeper.proxy.conf").read_text())
    host.write("/etc/torchkeeper/torchkeeper.toml", AGENT_TOML + BEHIND_PROXY)
    host.run("systemctl", "daemon-reload")
    before = host.journal(AGENT).count(WATCHING)
    host.run("systemctl", "restart", AGENT)
    proc.eventually(lambda: host.journal(AGENT).count(WATCHING) > before)
    groups = host.status_of(host.pid(AGENT))["Groups"].split()
    assert set(groups) == numbers_of(host, "torchkeeper", "torchkeeper-engine")
    assert host.show(PROXY, "ActiveState")["ActiveState"] == "active"
    assert owner_and_mode(host, "/run/torchkeeper", "/run/torchkeeper/docker.sock") == [
        "torchkeeper-proxy:torchkeeper-engine 750",
        "torchkeeper-proxy:torchkeeper-engine 660",
    ]
    host.run("systemctl", "reload", PROXY)
    assert "403" not in host.journal(PROXY)


@for_real
def test_the_agent_stops_at_once_and_without_an_error(host: SystemdHost) -> None:
    host.run("systemctl", "stop", AGENT)
    assert host.show(AGENT, "Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "0"}


def numbers_of(host: SystemdHost, *groups: str) -> set[str]:
    return {host.run("getent", "group", group).split(":")[2] for group in groups}


def owner_and_mode(host: SystemdHost, *paths: str) -> list[str]:
    return host.run("stat", "--format=%U:%G %a", *paths).splitlines()
