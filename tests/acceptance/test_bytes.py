"""The bytes in a plan are those on the disk, where images share layers, too."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance import small_disk
from tests.acceptance.host import TTL, Json, RealHost
from tests.support import dockerd, images, proc

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def small_engine() -> Iterator[dockerd.Dockerd]:
    """On a disk that nobody else writes to, so that its free space shows the bytes that a removal freed."""
    with small_disk.engine(size_mb=250) as engine:
        yield engine


@pytest.fixture
def small_host(small_engine: dockerd.Dockerd, tmp_path: Path) -> RealHost:
    return _host(small_engine, tmp_path)


@pytest.fixture(scope="module")
def small_containerd_engine() -> Iterator[dockerd.Dockerd]:
    """The current engine with the store that keeps each layer compressed, too; on a disk of its own."""
    with small_disk.engine(size_mb=400, kind="current-containerd") as engine:
        yield engine


@pytest.fixture
def small_containerd_host(small_containerd_engine: dockerd.Dockerd, tmp_path: Path) -> RealHost:
    return _host(small_containerd_engine, tmp_path)


def _host(engine: dockerd.Dockerd, folder: Path) -> RealHost:
    engine.empty()
    host = RealHost(engine, folder)
    host.configure(limits={"pause": "0s"})
    return host


def _committed(
    engine: dockerd.Dockerd, base: str, ref: str, size_mb: int, torch: bool = False, source: str = "urandom"
) -> str:
    """An image of one layer more than its base, of megabytes that a container of it wrote from `source`; its ID."""
    write = (
        "/bin/busybox",
        "dd",
        f"if=/dev/{source}",
        f"of=/{ref.replace('/', '-')}",
        "bs=1000000",
        f"count={size_mb}",
    )
    images.run(engine, base, *write, name="writer")
    image = engine.docker("commit", *(["--change=ENV PYTORCH_VERSION=2.4.0"] if torch else []), "writer", ref)
    engine.docker("rm", "writer")
    return image


def _du(engine: dockerd.Dockerd) -> int:
    """The bytes of the engine's directory on its disk."""
    done = subprocess.run(["du", "-sxB1", small_disk.data(engine)], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[0])


def _shared_layers(host: RealHost) -> str:
    """Idle images on a base that goes with them, on one that is no PyTorch, on one that another child keeps.

    The ID of the first base.
    """
    engine = host.engine
    host.configure(images={"probe_layers": False})  # one says that it is PyTorch, and has no torch
    base = host.torch("team/base:1", size_mb=30)
    for number, size_mb in enumerate((5, 8)):
        images.build_child(engine, "team/base:1", f"team/child:{number}", size_mb=size_mb)
    _committed(engine, "team/child:1", "team/grandchild:1", size_mb=6)
    images.build_child(engine, "team/base:1", "team/built:1", lines=["ENV A=1", "COPY payload /x"], size_mb=7)
    host.plain("web/base:1", size_mb=20)
    _committed(engine, "web/base:1", "team/on-web:1", size_mb=4, torch=True)
    host.torch("kept/base:1", size_mb=9)
    images.build_child(engine, "kept/base:1", "kept/child:stable", size_mb=3)
    images.build_child(engine, "kept/base:1", "team/on-kept:1", size_mb=3)
    engine.docker("tag", "team/child:0", "other/child:0")
    return base


def test_a_plan_over_shared_layers_frees_what_it_says_together_and_one_by_one(small_host: RealHost) -> None:
    host, engine = small_host, small_host.engine
    base = _shared_layers(host)
    host.configure(policy={"ttl": "1h"})
    host.json("sweep")  # sees them all for the first time
    host.configure(policy={"ttl": f"{TTL}s"})
    planned = proc.eventually(lambda: _due(host, count=8))  # one of them an untagged step of a build
    before = _du(engine)
    swept = host.json("sweep")
    freed = before - _du(engine)
    assert engine.references() == {"web/base:1", "kept/base:1", "kept/child:stable"}
    assert planned["totals"]["estimated_bytes"] == pytest.approx(freed, rel=0.05)
    going = {row["id"]: row["estimated_bytes"] for row in planned["images"] if row["action"] == "evict"}
    assert freed > 60 * images.MB > 35 * images.MB > sum(going.values())  # each by itself, as if the others stayed
    assert going.keys() == {row["id"] for row in swept["images"] if row["outcome"] == "removed"}
    events = host.json("history")["events"]
    estimated, measured = _bytes(events, "decision", "estimated_bytes"), _bytes(events, "outcome", "measured_bytes")
    assert measured == pytest.approx(estimated, rel=0.05, abs=0.1 * images.MB)
    assert list(estimated)[-1] == base
    assert estimated[base] > 30 * images.MB  # the last holder of a layer frees it
    assert sum(measured.values()) == pytest.approx(freed, rel=0.05)


def _due(host: RealHost, count: int) -> Json:
    """The plan, once it evicts so many; empty until then."""
    planned = host.json("plan")
    return planned if planned["totals"]["evict"] == count else {}


def _bytes(events: list[Json], kind: str, key: str) -> dict[str, int]:
    return {event["subject"]: event["data"][key] for event in events if event["type"] == f"torchkeeper.{kind}"}


def _packed_layers(host: RealHost) -> None:
    """Idle images of several layers, some of which compress to nothing, on bases that go, stay, or are no image."""
    engine = host.engine
    host.torch("team/base:1", size_mb=30)
    step = _committed(engine, "team/base:1", "team/step:1", size_mb=5)
    _committed(engine, "team/step:1", "team/child:1", size_mb=20, source="zero")
    _committed(engine, "team/base:1", "team/child:2", size_mb=15, source="zero")
    _committed(engine, "team/child:2", "team/child:3", size_mb=8)
    host.plain("web/base:1", size_mb=20)
    _committed(engine, "web/base:1", "team/on-web:1", size_mb=10, torch=True, source="zero")
    gone = host.torch("gone/base:1", size_mb=12)
    _committed(engine, "gone/base:1", "team/on-gone:1", size_mb=18, source="zero")
    _committed(engine, "gone/base:1", "team/on-gone:2", size_mb=3)
    for image in (step, gone):
        assert engine.api("DELETE", f"/images/{image}?noprune=1")[0] == 200
    host.torch("kept/base:1", size_mb=9)
    _committed(engine, "kept/base:1", "kept/child:stable", size_mb=3)
    _committed(engine, "kept/base:1", "team/on-kept:1", size_mb=6)


def test_on_the_containerd_store_a_plan_counts_what_is_kept_unpacked_and_compressed(
    small_containerd_host: RealHost,
) -> None:
    host, engine = small_containerd_host, small_containerd_host.engine
    _packed_layers(host)
    host.json("sweep")  # sees them all for the first time
    planned = proc.eventually(lambda: _due(host, count=8))
    assert "frees about " in host.output_of("plan")
    before = _du(engine)
    kept = {"web/base:1", "kept/base:1", "kept/child:stable"}
    proc.eventually(lambda: host.json("sweep") and engine.references() == kept)  # one that was starved leaves some
    # The store may take a moment to let go of what nothing refers to any more.
    freed = proc.eventually(lambda: _close(before - _du(engine), planned["totals"]["estimated_bytes"]))
    assert freed > 190 * images.MB
    events = host.json("history")["events"]
    estimated, measured = _bytes(events, "decision", "estimated_bytes"), _bytes(events, "outcome", "measured_bytes")
    assert measured == pytest.approx(estimated, rel=0.1, abs=0.5 * images.MB)


def _close(freed: int, estimated: int) -> int:
    """What was freed, once it is within a tenth of the estimate; else 0."""
    return freed if freed == pytest.approx(estimated, rel=0.1) else 0
