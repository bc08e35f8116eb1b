"""More of the policy on a real engine: the newest of each series, images without a name, windows, a changed policy."""

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from tests.acceptance.collector import AcceptanceCollector, Json
from tests.acceptance.host import NAME, RealHost, seconds_between
from tests.support import engines, proc

pytestmark = engines.ON_ONE

ZONE = "Asia/Kolkata"  # five hours and a half before UTC, in summer and in winter


def test_the_newest_of_each_line_of_builds_stay_until_a_newer_one_comes(lone_host: RealHost) -> None:
    host = lone_host
    host.configure(policy={"keep_newest": 2, "rules": [{"match": "lab/*", "keep_newest": 1}]}, limits={"pause": "0.1s"})
    kept = [
        *("acme/pytorch:2.10.0-cuda12.1-devel", "acme/pytorch:2.9.1-cuda12.1-devel"),
        "acme/pytorch:2.1.0-cuda11.8-devel",
        "acme/pytorch:2.1.0-cuda12.1-runtime",
        "acme/pytorch:nightly",
        "lab/pytorch:24.05-py3",
    ]
    for ref in kept:
        host.torch(ref)
    older = [host.torch(ref) for ref in ("acme/pytorch:2.8.0-cuda12.1-devel", "lab/pytorch:23.10-py3")]
    with host.agent():
        older.append(host.torch("acme/pytorch:2.7.1-cuda12.1-devel"))  # the last to be due
        for image in older:
            host.await_gone(image)
        assert host.reasons() == dict.fromkeys(kept, "keep-newest")
        assert "the newest of lab/pytorch" in host.output_of("explain", "lab/pytorch:24.05-py3")
        kept[-1:] = ["lab/pytorch:24.10-py3"]
        host.torch("lab/pytorch:24.10-py3")
        proc.eventually(lambda: host.engine.references() == set(kept))


def test_an_image_that_lost_its_name_is_evicted_after_its_own_time_and_local_ones_with_a_name_stay(
    host: RealHost, collector: AcceptanceCollector
) -> None:
    host.configure(policy={"local_images": "keep", "ttl": "1h"}, cleanup={"dangling_after": "2s"})
    with host.agent():
        first = host.torch("team/train:1")
        labelled = host.torch("team/long:1", labels={"torchkeeper.ttl": "1h"})
        collector.await_image(NAME, labelled, lambda row: row["reason"] == "local-only")
        renamed = datetime.now(UTC).isoformat()
        named = [host.torch("team/train:1"), host.torch("team/long:1")]
        decided = collector.await_event("decision")
        host.await_gone(first)
        rows = {row["id"]: row for row in host.json("plan")["images"]}
    assert (decided["subject"], decided["data"]["reason"]) == (first, "dangling")
    assert "without a name, cleanup.dangling_after 2 s" in decided["data"]["explanation"]
    assert seconds_between(renamed, decided["time"]) >= 2
    assert {key: row["reason"] for key, row in rows.items()} == {
        labelled: "recent",
        **dict.fromkeys(named, "local-only"),
    }
    assert seconds_between(renamed, rows[labelled]["due"]) >= 3600
    assert len(collector.events("decision")) == 1


def test_a_closed_window_delays_evictions_until_it_opens(lone_host: RealHost) -> None:
    host = lone_host
    image = host.torch("team/idle:1")
    now = datetime.now(ZoneInfo(ZONE))
    opens = (now + timedelta(hours=2)).replace(second=0, microsecond=0)
    host.configure(schedule={"windows": [_window(opens, opens + timedelta(hours=1))], "timezone": ZONE})
    with host.agent():
        proc.eventually(lambda: host.row(image)["held_by"] == "window")
        totals = host.json("plan")["totals"]
        printed = host.output_of("plan")
        assert host.has_image(image)
    until = opens.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert (totals["evict"], totals["held_by"], totals["opens"]) == (1, "window", until)
    assert "evict (held: window)" in printed
    assert f"nothing is removed now: window, until {opens.astimezone(UTC):%Y-%m-%d %H:%M} UTC (in " in printed
    assert host.json("history")["events"] == []
    host.configure(schedule={"windows": [_window(now - timedelta(hours=1), now + timedelta(hours=1))]})
    with host.agent():
        host.await_gone(image)


def _window(opens: datetime, closes: datetime) -> str:
    return f"{opens:%a %H:%M}-{closes:%H:%M}"


def ttl_of(row: Json) -> float:
    """Seconds of the TTL that an image's times in the inventory show."""
    return seconds_between(row["idle_since"], row["deadline"])


def test_a_slip_in_the_policy_waits_with_an_alert_and_can_be_taken_back(
    host: RealHost, collector: AcceptanceCollector
) -> None:
    host.configure(policy={"ttl": "1h", "change_grace": "1h"})
    slipped = [host.torch("team/one:1", size_mb=4), host.torch("team/two:1", size_mb=6)]
    host.plain("team/web:1")
    with host.agent():
        collector.await_image(NAME, slipped[1], lambda row: row["reason"] == "recent")
    host.configure(policy={"ttl": "1s"})
    with host.agent():
        proc.eventually(lambda: "policy-change" in collector.alerts(NAME))
        alert = collector.read(f"{NAME}/alerts/policy-change")["message"]
        rows = [collector.await_image(NAME, image, lambda row: ttl_of(row) == 1) for image in slipped]
        printed = host.output_of("plan")
        assert all(map(host.has_image, slipped))
    assert alert.startswith("the policy changed: 2 images (14.0 MB) that only the new one evicts may go from 20")
    assert [(row["action"], row["reason"]) for row in rows] == [("keep", "recent")] * 2
    assert [row["explanation"] for row in rows] == ["", ""]  # such a text counts time: each reader makes it anew
    assert "2 images (14.0 MB) wait for the policy-change grace period" in printed
    assert printed.count("(policy.change_grace)") == 2
    host.configure(policy={"ttl": "1h"})
    with host.agent():
        proc.eventually(lambda: collector.alerts(NAME) == set())
        row = collector.await_image(NAME, slipped[0], lambda row: ttl_of(row) == 3600)
    assert row["reason"] == "recent"
    assert host.json("history")["events"] == []


def test_what_only_the_new_policy_evicts_waits_for_the_grace_and_what_the_old_one_evicts_does_not(
    host: RealHost,
) -> None:
    host.configure(policy={"rules": [{"match": "team/*", "ttl": "1h"}], "change_grace": "5s"})
    waiting = host.torch("team/long:1")
    with host.agent():
        proc.eventually(lambda: host.row(waiting)["reason"] == "recent")
    host.configure(policy={"rules": []})
    at_once = host.torch("control/pytorch:1")
    started = time.monotonic()
    with host.agent():
        host.await_gone(waiting)
        assert time.monotonic() - started >= 5
    decided = [event["subject"] for event in host.json("history")["events"] if event["type"].endswith(".decision")]
    assert decided == [at_once, waiting]
