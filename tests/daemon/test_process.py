"""A real `torchkeeper run`, without an engine: its port, its notifications, its alerts and its log."""

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil

from agent import healthcheck
from agent.diagnostics import alerts
from agent.diagnostics.check import Check
from tests.support import proc

WATCHDOG = 1.5  # seconds


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return int(unused.getsockname()[1])


def config(folder: Path, host: str = "gpu-07", **sections: Any) -> Path:
    known = {"agent": {"host": host, "state_dir": folder / "state", "log": "json"}}
    return proc.write_config(folder / "c.toml", **known, docker={"url": f"unix://{folder}/none.sock"}, **sections)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "run.log").read_text().splitlines()]


def began(folder: Path) -> set[str]:
    log = folder / "run.log"
    return {line["alert"] for line in lines(folder) if line.get("state") == "began"} if log.exists() else set()


@contextmanager
def running(folder: Path, file: Path, env: dict[str, str] | None = None) -> Iterator[proc.Daemon]:
    ready = lambda: "engine-down" in began(folder)  # noqa: E731 - read in one line
    with proc.agent(folder=folder, config=file, env=env, ready=ready) as daemon:
        yield daemon


def listening(daemon: proc.Daemon) -> list[int]:
    return [item.laddr.port for item in psutil.Process(daemon.pid).net_connections() if item.status == "LISTEN"]


def checked(file: Path) -> dict[str, Any]:
    done = proc.torchkeeper("check", "--json", config=file)
    return {item["name"]: item for item in json.loads(done.stdout)["checks"]}


def test_it_serves_health_and_check_lists_its_alerts(tmp_path: Path) -> None:
    port = free_port()
    file = config(tmp_path, http={"listen": f"127.0.0.1:{port}"})
    with running(tmp_path, file) as daemon:
        proc.eventually(lambda: listening(daemon) == [port])
        assert healthcheck.main([str(port)]) == 0
        with closing(http.client.HTTPConnection("127.0.0.1", port)) as client:
            client.request("GET", "/healthz/ready")
            answer = client.getresponse()
            assert (answer.status, json.loads(answer.read())["checks"]["engine"]["ok"]) == (503, False)
        proc.eventually(lambda: not alerts.check_alerts(tmp_path / "state")[0].ok)
        found = checked(file)
    assert (found["alerts"]["ok"], found["alerts"]["detail"].startswith("critical engine-down for ")) == (False, True)
    assert found["alerts"]["hint"] == "start the engine, or correct docker.url"
    assert daemon.returncode() == 0
    assert alerts.check_alerts(tmp_path / "state") == [Check("alerts", True, "no agent runs here, so there are none")]
    assert {(line["host"], "level" in line) for line in lines(tmp_path)} == {("gpu-07", True)}
    assert {line["level"] for line in lines(tmp_path) if line.get("alert") == "engine-down"} == {"error"}


def test_an_agent_that_waits_for_the_engine_to_learn_its_name_lives(tmp_path: Path) -> None:
    port = free_port()
    file = config(tmp_path, host="", http={"listen": f"127.0.0.1:{port}"})
    with proc.agent(folder=tmp_path, config=file, ready=lambda: proc.listens(port)):
        assert healthcheck.main([str(port)]) == 0
        proc.eventually(lambda: any("no engine yet" in line["event"] for line in lines(tmp_path)))
        assert alerts.check_alerts(tmp_path / "state") == [Check("alerts", True, "none")]


def test_a_machine_without_http_opens_no_port_and_imports_none_of_it(tmp_path: Path) -> None:
    file = config(tmp_path)
    with running(tmp_path, file) as daemon:
        assert listening(daemon) == []
    assert "http" not in {line["action"] for line in lines(tmp_path)}


def test_a_port_in_use_delays_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        file = config(tmp_path, http={"listen": f"127.0.0.1:{taken.getsockname()[1]}"})
        with running(tmp_path, file):
            proc.eventually(lambda: began(tmp_path) == {"engine-down", "http-unavailable"})


def test_systemd_is_notified_and_the_watchdog_is_not_fed_by_a_process_that_stands_still(tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as systemd:
        systemd.bind(f"{tmp_path}/notify")
        systemd.settimeout(proc.PATIENCE)
        env = {"NOTIFY_SOCKET": f"{tmp_path}/notify", "WATCHDOG_USEC": str(int(WATCHDOG * 1e6))}
        with running(tmp_path, config(tmp_path), env) as daemon:
            assert systemd.recv(1000).startswith(b"READY=1\nSTATUS=waiting for the engine")
            assert b"WATCHDOG=1" in systemd.recv(1000)
            daemon.stop_signal()
            systemd.settimeout(0.01)
            while arrived(systemd):
                pass
            systemd.settimeout(2 * WATCHDOG)
            assert not arrived(systemd)
            daemon.cont_signal()
            systemd.settimeout(proc.PATIENCE)
            assert b"WATCHDOG=1" in systemd.recv(1000)
        assert daemon.returncode() == 0
        states = [systemd.recv(1000)]
        while b"STOPPING" not in states[-1]:
            states.append(systemd.recv(1000))
        assert states[-1] == b"STOPPING=1\nSTATUS=stopping"


def arrived(systemd: socket.socket) -> bytes:
    try:
        return systemd.recv(1000)
    except TimeoutError:
        return b""


def test_importing_the_daemon_imports_no_http_server() -> None:
    code = "import sys, agent.daemon.run; print([m for m in ('prometheus_client', 'aiohttp.web') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
