"""Every use counts, for the image that it was of: short ones, after a tag moved, while the agent was away."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tests.acceptance.collector import Collector
from tests.acceptance.host import NAME, Host, age, seconds_between
from tests.support import images, proc

End = Callable[[proc.Daemon], object]

RING = 256  # events that the engine remembers
CLOSE = 1.0  # seconds by which a last use may be off
AWAY = pytest.mark.parametrize("end", [proc.Daemon.stop, proc.Daemon.kill], ids=["SIGTERM", "SIGKILL"])


@pytest.fixture(autouse=True)
def _nothing_is_due(lone_host: Host) -> None:
    lone_host.configure(policy={"ttl": "1h"})


def now() -> str:
    return datetime.now(UTC).isoformat()


def test_a_use_of_one_second_is_recorded_with_its_end(host: Host, collector: Collector) -> None:
    image = host.torch("team/short:1")
    with host.agent():
        images.run(host.engine, "team/short:1", "sleep", "1", rm=True, name="quick")
        ended = now()
        told = collector.await_image(NAME, image, lambda item: item["last_used"])
        row = host.row(image)
    assert host.engine.containers() == []
    assert abs(seconds_between(told["last_used"], ended)) < CLOSE
    assert (row["last_used"], row["last_used_by"]) == (told["last_used"], "quick")
    assert row["idle_since"] == row["last_used"]
    assert seconds_between(row["last_used"], row["deadline"]) == 3600


def test_a_running_container_uses_its_image_now(lone_host: Host) -> None:
    image = lone_host.torch("team/serve:1")
    images.run(lone_host.engine, "team/serve:1", "sleep", "600", detach=True, name="server")
    with lone_host.agent():
        row = lone_host.row(image)
    assert age(row["last_used"]) < 10
    assert (row["action"], row["reason"], row["last_used_by"]) == ("keep", "in-use", "server")


def test_after_a_tag_moved_uses_of_the_old_image_count_for_the_old_one(lone_host: Host) -> None:
    host = lone_host
    old = host.torch("team/train:main")
    container = images.create(host.engine, "team/train:main", "true")
    with host.agent():
        new = host.torch("team/train:main")
        moved = now()
        host.engine.docker("start", "--attach", container)
        host.engine.docker("rm", container)
        rows = {image: host.row(image) for image in (old, new)}
    assert rows[old]["references"] == []
    assert 0 < seconds_between(moved, rows[old]["last_used"]) < 10
    assert (rows[new]["references"], rows[new]["last_used"]) == (["team/train:main"], None)


def test_a_use_before_the_tag_moved_counts_for_the_old_image_even_if_both_went_unwatched(lone_host: Host) -> None:
    host = lone_host
    old = host.torch("team/train:main")
    with host.agent():
        pass
    images.run(host.engine, "team/train:main", rm=True, name="unwatched")
    new = host.torch("team/train:main")
    with host.agent():
        rows = {image: host.row(image) for image in (old, new)}
    assert (rows[old]["last_used_by"], rows[new]["last_used"]) == ("unwatched", None)


@AWAY
def test_a_restart_forgets_nothing(lone_host: Host, end: End) -> None:
    host = lone_host
    used, unused = host.torch("team/used:1"), host.torch("team/unused:1")
    with host.agent() as agent:
        images.run(host.engine, "team/used:1", rm=True, name="before")
        proc.eventually(lambda: host.row(used)["last_used"])
        before = [host.row(image) for image in (used, unused)]
        end(agent)
    with host.agent():
        after = [host.row(image) for image in (used, unused)]
        events = host.json("history")["events"]
    facts = ("last_used", "last_used_by", "idle_since", "deadline", "reason")
    assert [[row[key] for key in facts] for row in after] == [[row[key] for key in facts] for row in before]
    assert events == []


@AWAY
def test_a_use_while_the_agent_was_away_is_seen_afterwards(host: Host, collector: Collector, end: End) -> None:
    image = host.torch("team/away:1")
    with host.agent() as agent:
        collector.await_image(NAME, image, lambda item: item["idle_since"])
        end(agent)
    images.run(host.engine, "team/away:1", rm=True, name="unwatched")
    ended = now()
    with host.agent():
        told = collector.await_image(NAME, image, lambda item: item["last_used"])
    assert abs(seconds_between(told["last_used"], ended)) < CLOSE
    assert told["last_used_by"] == "unwatched"
    assert collector.events("gap") == []


def test_more_than_the_engine_remembers_is_a_gap_and_counts_as_a_use(host: Host, collector: Collector) -> None:
    host.configure(usage={"gap_tolerance": "0s"})
    image, other = host.torch("team/train:1"), host.plain("team/web:1")
    with host.agent():
        before = collector.await_image(NAME, image, lambda item: item["idle_since"])
    for _ in range(RING // 2):
        host.engine.api("POST", f"/images/{other}/tag?repo=team/other&tag=1")
        host.engine.api("DELETE", "/images/team/other:1")
    with host.agent():
        gap = collector.await_event("gap")["data"]
        after = host.row(image)
    assert gap["cause"] == "more happened than the engine remembers"
    assert before["idle_since"] < gap["since"] < gap["until"]
    assert (after["idle_since"], after["last_used"]) == (gap["until"], None)


def test_a_build_on_top_is_a_use_of_the_base(lone_host: Host) -> None:
    base = lone_host.torch("team/base:1")
    with lone_host.agent():
        images.build_child(lone_host.engine, "team/base:1", "team/child:1", classic=False)
        built = now()
        row = proc.eventually(lambda: (row := lone_host.row(base))["last_used"] and row)
    assert abs(seconds_between(row["last_used"], built)) < 2 * CLOSE


def test_labels_that_look_like_the_attributes_of_events_mislead_nobody(host: Host, collector: Collector) -> None:
    victim = host.torch("team/victim:1")
    liar = host.torch("team/liar:1", labels={"image": "team/victim:1", "name": "team/victim:1"})
    with host.agent():
        host.engine.docker("tag", liar, "team/liar:2")
        images.run(host.engine, "team/liar:1", rm=True, name="honest")
        told = collector.await_image(NAME, liar, lambda item: item["last_used_by"])
        other = host.row(victim)
    assert (told["references"], told["last_used_by"]) == (["team/liar:1", "team/liar:2"], "honest")
    assert (other["references"], other["last_used"]) == (["team/victim:1"], None)
