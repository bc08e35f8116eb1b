"""systemd's watchdog is fed by the event loop, and not while work hangs."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent.adapters.clock import Clock, SystemClock
from agent.adapters.systemd import Notifier
from agent.core.protocol.alerts import AlertId
from agent.daemon import watchdog
from agent.pulse import Pulse
from tests.support.fake_host import FakeHost
from tests.support.fakes.clock import FakeClock
from tests.support.times import START


class Systemd:
    """The other end of the socket."""

    def __init__(self, folder: Path) -> None:
        self.address = f"{folder}/notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.setblocking(False)

    def received(self) -> list[str]:
        found = list[str]()
        while True:
            try:
                found.append(self._socket.recv(1000).decode())
            except BlockingIOError:
                return found

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    made = Systemd(tmp_path)
    yield made
    made.close()


@asynccontextmanager
async def notifying(systemd: Systemd, pulse: Pulse, clock: Clock, seconds: float) -> AsyncIterator[None]:
    async with watchdog.notifying(Notifier(systemd.address, seconds), pulse, lambda: "watching", clock):
        await asyncio.sleep(0.01)
        yield


async def test_it_is_ready_alive_and_stopping(systemd: Systemd) -> None:
    clock = FakeClock()
    async with notifying(systemd, Pulse(clock.monotonic), clock, 60):
        await clock.advance(40)
    assert systemd.received() == [
        "READY=1\nSTATUS=watching",
        "WATCHDOG=1\nSTATUS=watching",
        "WATCHDOG=1\nSTATUS=watching",
        "STOPPING=1\nSTATUS=stopping",
    ]


async def test_the_watchdog_is_not_fed_while_work_is_over_its_limit(systemd: Systemd) -> None:
    clock = FakeClock()
    pulse = Pulse(clock.monotonic)
    async with notifying(systemd, pulse, clock, 60):
        with capture_logs() as logged, pulse.busy("sweep", 1800):
            await clock.advance(1800)
            systemd.received()
            await clock.advance(40)
            assert systemd.received() == [
                "STATUS=no progress of the sweep for 30 min 20 s",
                "STATUS=no progress of the sweep for 30 min 40 s",
            ]
        await clock.advance(20)
        assert systemd.received() == ["WATCHDOG=1\nSTATUS=watching"]
    assert [(line["action"], line["work"]) for line in logged] == [("hang", "sweep")]


async def test_the_watchdog_is_not_fed_while_the_event_loop_is_blocked(systemd: Systemd) -> None:
    async with notifying(systemd, Pulse(), SystemClock(), 0.15):
        await asyncio.sleep(0.2)
        assert "WATCHDOG=1\nSTATUS=watching" in systemd.received()
        time.sleep(0.3)  # noqa: ASYNC251 - this is what blocks it
        assert systemd.received() == []
        await asyncio.sleep(0.2)
        assert "WATCHDOG=1\nSTATUS=watching" in systemd.received()


async def test_its_status_is_what_the_agent_does_and_how_many_alerts_stand(host: FakeHost) -> None:
    agent = host.agent()
    assert watchdog.describe(agent.view, agent.host_report) == "waiting for the engine"
    await agent.watch()
    agent.host_report.raise_alert(AlertId.TWO_AGENTS, "another agent", START)
    assert watchdog.describe(agent.view, agent.host_report) == "watching the engine; 1 alert"
