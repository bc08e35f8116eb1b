"""The probe for containers asks over HTTP, and needs nothing but Python."""

import socket
import subprocess
import sys
import threading

import pytest

from agent import healthcheck
from tests.support.proc import ROOT


def answered(answer: bytes, *path: str, asked: list[bytes] | None = None) -> int:
    """The exit code of the probe where the agent gives this answer. `asked`: gets what it was asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                request = connection.recv(1000)
                if asked is not None:
                    asked.append(request)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        code = healthcheck.main([str(server.getsockname()[1]), *path])
        thread.join()
    return code


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", 1),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", 1),
        (b"200", 1),
        (b"", 1),
    ],
)
def test_only_an_agent_that_lives_is_healthy(answer: bytes, code: int) -> None:
    assert answered(answer) == code


def test_it_asks_for_the_path_that_it_is_given() -> None:
    asked: list[bytes] = []
    assert answered(b"HTTP/1.1 200 OK\r\n\r\n", "/healthz", asked=asked) == 0
    assert answered(b"HTTP/1.1 200 OK\r\n\r\n", asked=asked) == 0
    assert [request.split(b" ")[1] for request in asked] == [b"/healthz", b"/healthz/live"]


@pytest.mark.parametrize("port", ["x", "0", "99999", "-1"])
def test_a_wrong_port_is_a_failure_without_a_traceback(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert healthcheck.main([port]) == 1
    assert "no answer from 127.0.0.1:" in capsys.readouterr().err


def test_it_runs_by_its_path_in_isolation_and_imports_nothing_of_the_package() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    path = str(ROOT / "agent/healthcheck.py")
    done = subprocess.run([sys.executable, "-IS", path, str(port)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"no answer from 127.0.0.1:{port}/healthz/live: [Errno 111] Connection refused\n"
