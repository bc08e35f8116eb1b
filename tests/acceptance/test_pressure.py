"""A disk that runs full, on a small file system of the engine's own: evictions as far as needed and no further."""

import re
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from tests.acceptance import small_disk, without_engine_folder
from tests.acceptance.collector import AcceptanceCollector
from tests.acceptance.host import NAME, RealHost
from tests.support import dockerd, engines, images, mosquitto, proc, torch_file

pytestmark = pytest.mark.real

HIGH, LOW = 0.90, 0.70
SHARES = {"high": "90%", "low": "70%"}


@pytest.fixture(scope="module")
def small_engine() -> Iterator[dockerd.Dockerd]:
    with small_disk.engine(size_mb=200) as engine:
        yield engine


@pytest.fixture
def small_host(small_engine: dockerd.Dockerd, fleet_broker: mosquitto.Mosquitto, tmp_path: Path) -> Iterator[RealHost]:
    """A host with room for some 175 MB of images, where no image is due by its TTL."""
    small_engine.empty()
    yield _host(small_engine, fleet_broker, tmp_path)
    (small_disk.data(small_engine) / "filler").unlink(missing_ok=True)


def _host(engine: dockerd.Dockerd, broker: mosquitto.Mosquitto, folder: Path) -> RealHost:
    host = RealHost(engine, folder)
    host.report_to(broker)
    host.configure(
        policy={"ttl": "1h", "rules": [{"match": "team/local:*", "local_images": "keep"}]},
        images={"exclude": ["*/prod/*"]},
        pressure=SHARES,
        limits={"pause": "0.1s"},
    )
    return host


def _untouchable(host: RealHost, size_mb: int) -> dict[str, str]:
    """Images that must stay, whatever the disk says: image ID -> why."""
    kept = {
        host.torch("team/train:stable", size_mb=size_mb): "protected-tag",
        host.torch("team/prod/serve:1", size_mb=size_mb): "excluded",
        host.torch("team/pinned:1", size_mb=size_mb): "pinned",
        host.torch("team/held:1", size_mb=size_mb): "in-use",
        host.torch("team/local:1", size_mb=size_mb): "local-only",
        host.plain("team/web:1", size_mb=size_mb): "not-pytorch",
    }
    images.create(host.engine, "team/held:1", name="holder")
    host.output_of("pin", "team/pinned:1")
    return kept


def test_a_full_disk_is_brought_under_low_by_the_least_recently_used_and_touches_nothing_that_is_kept(
    small_host: RealHost, collector: AcceptanceCollector
) -> None:
    host = small_host
    kept = _untouchable(host, size_mb=1)
    with host.agent():
        idle = [host.torch(f"team/idle:{number}", size_mb=12) for number in range(5)]
        for number in (3, 0):
            images.run(host.engine, f"team/idle:{number}", rm=True)
        collector.await_image(NAME, idle[0], lambda row: row["last_used"] and row["reason"] == "recent")
        assert collector.events("decision") == []
        small_disk.fill(host.engine, until=0.92)
        collector.await_event("sweep")
        left_over = {**kept, idle[3]: "recent", idle[0]: "recent"}
        proc.eventually(lambda: _reported(collector) == left_over)
    decisions, outcomes = collector.events("decision"), collector.events("outcome")
    left = small_disk.share(host.engine)
    assert [event["subject"] for event in decisions] == [idle[number] for number in (1, 2, 4)]
    assert {event["data"]["reason"] for event in decisions} == {"disk-pressure"}
    assert decisions[0]["data"]["explanation"].startswith("disk 92% full (high 90%, low 70%); idle ")
    assert [event["data"]["outcome"] for event in outcomes] == ["removed"] * 3
    for decision, outcome in zip(decisions, outcomes, strict=True):
        assert outcome["data"]["measured_bytes"] == pytest.approx(decision["data"]["estimated_bytes"], rel=0.1)
    one_image = outcomes[-1]["data"]["measured_bytes"] / small_disk.room(host.engine)
    assert left <= LOW < left + one_image
    assert {image["Id"] for image in host.engine.images()} == left_over.keys()


def _reported(collector: AcceptanceCollector) -> dict[str, str]:
    """What the last inventory says of every image: ID -> the reason."""
    return {row["id"]: row["reason"] for row in collector.read(f"{NAME}/inventory").get("images", [])}


def test_a_full_disk_where_nothing_may_be_evicted_raises_an_alert_until_there_is_space(
    small_host: RealHost, collector: AcceptanceCollector
) -> None:
    host = small_host
    host.configure(policy={"min_age": "1h"})
    kept = _untouchable(host, size_mb=2) | {host.torch("team/young:1", size_mb=15): "min-age"}
    filler = small_disk.fill(host.engine, until=0.92)
    with host.agent():
        proc.eventually(lambda: "disk-full-nothing-evictable" in collector.alerts(NAME))
        alert = collector.read(f"{NAME}/alerts/disk-full-nothing-evictable")
        planned = host.output_of("plan")
        code, checked = host.checks()
        filler.unlink()
        host.engine.docker("tag", "team/web:1", "team/web:2")  # what else happens on the host, so that it looks
        proc.eventually(lambda: not collector.alerts(NAME))
    state, _, reasons = alert["message"].partition(": ")
    assert state == "disk 92% full (high 90%, low 70%), and nothing may be evicted now"
    named = {reason: float(size) for reason, size in re.findall(r"([a-z-]+) ([0-9.]+) MB", reasons)}
    sizes = {kept[image["Id"]]: image["Size"] / images.MB for image in host.engine.images()}
    assert (alert["severity"], next(iter(named))) == ("critical", "min-age")  # the most first
    assert named == pytest.approx(sizes, abs=0.1)
    assert "disk 92% full (high 90%, low 70%); " in planned
    assert (code, checked["alerts"]["ok"], checked["disk"]["ok"]) == (1, False, False)
    assert "critical disk-full-nothing-evictable for " in checked["alerts"]["detail"]
    assert "92% of " in checked["disk"]["detail"]
    lines = [line for line in host.log.read_text().splitlines() if "alert=disk-full-nothing-evictable" in line]
    assert [("state=began" in line, "[error" in line) for line in lines] == [(True, True), (False, False)]
    assert collector.events() == []
    assert {image["Id"] for image in host.engine.images()} == kept.keys()


def test_inodes_count_as_bytes_do(
    fleet_broker: mosquitto.Mosquitto, collector: AcceptanceCollector, tmp_path: Path
) -> None:
    with small_disk.engine(size_mb=100, inodes=2000) as engine:
        host = _host(engine, fleet_broker, tmp_path)
        with host.agent():
            idle = [_many_files(engine, f"team/idle:{number}", count=600) for number in range(3)]
            collector.await_event("sweep")
        left = small_disk.share(engine)
        assert [event["subject"] for event in collector.events("decision")] == idle[:1]
        assert {image["Id"] for image in engine.images()} == set(idle[1:])
    decided = collector.events("decision")[0]["data"]
    assert decided["reason"] == "disk-pressure"
    assert re.match(r"disk's inodes 9[0-9]% full \(high 90%, low 70%\)", decided["explanation"])
    assert left <= LOW


def _many_files(engine: dockerd.Dockerd, ref: str, count: int) -> str:
    """Import a PyTorch image of many small files; its ID."""
    out = BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for number in range(count):
            info = tarfile.TarInfo(f"{ref.replace(':', '-')}/{number}")
            info.size = 1
            tar.addfile(info, BytesIO(b"x"))
        torch = tarfile.TarInfo(torch_file.PLACE)
        torch.size = len(torch_file.of(ref, None))
        tar.addfile(torch, BytesIO(torch_file.of(ref, None)))
    return engine.docker("import", "--change=ENV PYTORCH_VERSION=2.4.0", "-", ref, stdin=out.getvalue())


@engines.ON_ONE
def test_a_budget_of_bytes_works_although_the_engines_directory_cannot_be_seen(
    host: RealHost, collector: AcceptanceCollector
) -> None:
    host.configure(policy={"ttl": "1h"}, pressure={"budget": "25MB"}, limits={"pause": "0.1s"})
    pinned = host.torch("team/pinned:1", size_mb=4)
    host.output_of("pin", "team/pinned:1")
    with without_engine_folder.agent(host):
        idle = [host.torch(f"team/idle:{number}", size_mb=6) for number in range(3)]
        collector.await_event("sweep")
        collector.await_image(NAME, idle[1], lambda row: row["reason"] == "recent")
    decided = collector.events("decision")[0]["data"]
    assert [event["subject"] for event in collector.events("decision")] == idle[:1]
    assert decided["reason"] == "disk-pressure"
    assert re.match(r"images take (29|30)\.. MB \(budget 25.0 MB\); idle ", decided["explanation"])
    assert collector.events("outcome")[0]["data"]["measured_bytes"] is None
    assert {image["Id"] for image in host.engine.images()} == {pinned, *idle[1:]}
