"""Who listens at a socket: the engine, or anybody else."""

import asyncio
import os
from pathlib import Path

import pytest

from agent.adapters.docker import listener
from agent.adapters.docker.engine import DockerEngine
from tests.support import proxy
from tests.support.dockerd import Dockerd


def process(proc_folder: Path, pid: int, name: str) -> None:
    (proc_folder / str(pid)).mkdir()
    (proc_folder / str(pid) / "comm").write_text(f"{name}\n")


@pytest.mark.parametrize(
    ("pid", "name", "is_engine"),
    [
        (700, "dockerd", True),
        (700, "haproxy", False),
        (700, "podman", False),
        (1, "systemd", True),
        (1, "init", True),
        (1, "haproxy", False),
        (700, "systemd", False),
        (0, "dockerd", False),
        (-1, "dockerd", False),
    ],
)
def test_a_process_is_the_engine_by_its_name(tmp_path: Path, pid: int, name: str, is_engine: bool) -> None:
    process(tmp_path, pid, name)
    assert listener.names_engine(pid, tmp_path) is is_engine


def test_a_process_that_cannot_be_looked_at_is_not_the_engine(tmp_path: Path) -> None:
    assert not listener.names_engine(700, tmp_path)


async def direct(url: str) -> bool:
    """What a connection says of its listener."""
    engine = DockerEngine(url)
    try:
        info = await engine.connect()
        await engine.ping()
        return info.direct
    finally:
        await engine.close()


async def test_a_real_engine_is_the_listener_at_its_own_socket(engine: Dockerd) -> None:
    assert await direct(engine.url)


async def test_a_proxy_before_a_real_engine_is_not(engine: Dockerd, tmp_path: Path) -> None:
    async with proxy.before(engine.socket, tmp_path) as between:
        assert not await direct(between.url)


@pytest.mark.parametrize("url", ["tcp://127.0.0.1:2375", "unix:///no/such.sock", "unix://", "", "http://x"])
async def test_what_is_not_a_unix_socket_with_a_listener_is_not_the_engine(url: str) -> None:
    assert not await listener.is_engine(url)


async def test_the_listener_is_the_process_that_called_listen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "names_engine", lambda pid: pid == os.getpid())
    serving = await asyncio.start_unix_server(lambda _, writer: writer.close(), tmp_path / "socket")
    async with serving:
        assert await listener.is_engine(f"unix://{tmp_path}/socket")
