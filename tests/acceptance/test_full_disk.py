"""A full disk under the state: the agent lives, evicts by means of its reserve, and loses nothing."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.collector import AcceptanceCollector
from tests.acceptance.host import NAME, RealHost
from tests.support import engines, images, proc

pytestmark = engines.ON_ONE

SIZE = "20m"  # the reserve takes 16 MiB of it


@pytest.fixture
def small_disk(host: RealHost) -> Iterator[Path]:
    """A file system of its own under the state folder."""
    host.state.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", host.state], check=False)
    proc.require(mounted.returncode == 0, "mounting a tmpfs needs CAP_SYS_ADMIN")
    try:
        yield host.state
    finally:
        subprocess.run(["umount", "--lazy", host.state], check=True)


def fill(folder: Path, name: str = "filler") -> Path:
    """Take all the room that there is."""
    path = folder / name
    with path.open("ab", buffering=0) as out:
        try:
            while True:
                out.write(b"x" * 4096)
        except OSError:
            return path


def test_an_agent_on_a_full_disk_evicts_and_loses_nothing(
    host: RealHost, collector: AcceptanceCollector, small_disk: Path
) -> None:
    used = host.torch("team/used:1")
    images.create(host.engine, "team/used:1")
    with host.agent() as agent:
        proc.eventually((small_disk / "reserve").exists)
        filler = fill(small_disk)
        room = os.statvfs(small_disk)
        assert room.f_bavail == 0
        idle = [host.torch(f"team/idle:{number}") for number in range(3)]
        for image in idle:
            host.await_gone(image)
            collector.await_event("outcome", image)
        proc.eventually(lambda: not (small_disk / "reserve").exists())  # each sweep tries to make it again
        filler.unlink()
        last = host.torch("team/last:1")
        collector.await_event("outcome", last)
        proc.eventually((small_disk / "reserve").exists)
        assert agent.returncode() is None
    numbers = [event["data"]["seq"] for event in collector.events()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert [event["data"]["outcome"] for event in collector.events("outcome")] == ["removed"] * 4
    assert host.has_image(used)


def test_a_disk_without_any_room_stops_eviction_and_nothing_else(
    host: RealHost, collector: AcceptanceCollector, small_disk: Path
) -> None:
    with host.agent() as agent:
        proc.eventually((small_disk / "reserve").exists)
        (small_disk / "reserve").unlink()
        filler = fill(small_disk)
        image = host.torch("team/idle:1")
        proc.eventually(lambda: "state-full" in collector.alerts(NAME))
        assert (agent.returncode(), host.has_image(image)) == (None, True)
        images.run(host.engine, "team/idle:1", rm=True, name="while-full")
        filler.unlink()
        outcome = collector.await_event("outcome", image)
        decision = collector.await_event("decision", image)
        proc.eventually(lambda: "state-full" not in collector.alerts(NAME))
    assert (outcome["data"]["outcome"], decision["data"]["last_used_by"]) == ("removed", "while-full")
