"""Notifications of systemd, on a real datagram socket."""

import socket
from pathlib import Path

import pytest

from agent.adapters.systemd import Notifier


@pytest.mark.parametrize(
    ("environ", "watchdog", "interval"),
    [
        ({}, None, 30.0),
        ({"WATCHDOG_USEC": "6000000"}, 6.0, 2.0),
        ({"WATCHDOG_USEC": "6000000", "WATCHDOG_PID": "41"}, 6.0, 2.0),
        ({"WATCHDOG_USEC": "6000000", "WATCHDOG_PID": "42"}, None, 30.0),
        ({"WATCHDOG_USEC": "0"}, None, 30.0),
        ({"WATCHDOG_USEC": "soon"}, None, 30.0),
    ],
)
def test_the_watchdog_is_that_of_this_process(environ: dict[str, str], watchdog: float | None, interval: float) -> None:
    notifier = Notifier.of(environ, 41)
    assert (notifier.watchdog, notifier.interval) == (watchdog, interval)


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_states_arrive_in_one_datagram(kind: str, tmp_path: Path) -> None:
    address = f"{tmp_path}/notify" if kind == "path" else f"@torchkeeper-test-{tmp_path.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address.replace("@", "\0"))
        Notifier(address).send("READY=1", "STATUS=watching the engine")
        assert systemd.recv(1000) == b"READY=1\nSTATUS=watching the engine"


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "vsock:2:1234"])
def test_where_nobody_listens_nothing_happens(address: str) -> None:
    Notifier(address).send("READY=1")
