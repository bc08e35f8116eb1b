"""Every use counts for the right image: short ones, after a tag moved, while the agent was away."""

from collections.abc import Callable

import pytest

from tests.acceptance.collector import AcceptanceCollector
from tests.acceptance.host import NAME, RealHost, now, seconds_between
from tests.support import engines, images, proc

End = Callable[[proc.Daemon], object]
Rows = dict[str, tuple[list[str], str]]

RING = 256  # events that the engine remembers
AWAY = pytest.mark.parametrize("end", [proc.Daemon.stop, proc.Daemon.kill], ids=["SIGTERM", "SIGKILL"])


@pytest.fixture(autouse=True)
def _nothing_is_due(lone_host: RealHost) -> None:
    lone_host.configure(policy={"ttl": "1h"})


def test_a_use_of_one_second_is_recorded_with_its_end(host: RealHost, collector: AcceptanceCollector) -> None:
    image = host.torch("team/short:1")
    with host.agent():
        images.run(host.engine, "team/short:1", "sleep", "1", rm=True, name="quick")
        ended = host.last_event("destroy", container="quick")
        shown = collector.await_image(NAME, image, lambda item: (item["last_used"] or "") >= ended)
        row = host.row(image)
    assert host.engine.containers() == []
    assert (shown["last_used"], shown["last_used_by"]) == (ended, "quick")
    assert (row["last_used"], row["last_used_by"]) == (ended, "quick")
    assert row["idle_since"] == row["last_used"]
    assert seconds_between(row["last_used"], row["deadline"]) == 3600


@engines.ON_BOTH_ENDS
def test_a_running_container_uses_its_image_now(lone_host: RealHost) -> None:
    image = lone_host.torch("team/serve:1")
    images.run(lone_host.engine, "team/serve:1", "sleep", "600", detach=True, name="server")
    with lone_host.agent():
        asked = now()
        row = lone_host.row(image)
    assert seconds_between(asked, row["last_used"]) >= 0
    assert (row["action"], row["reason"], row["last_used_by"]) == ("keep", "in-use", "server")


def test_after_a_tag_moved_uses_of_the_old_image_count_for_the_old_one(lone_host: RealHost, kind: str) -> None:
    host = lone_host
    old = host.torch("team/train:main")
    container = images.create(host.engine, "team/train:main", "true")
    with host.agent():
        new = host.torch("team/train:main")
        host.engine.docker("start", "--attach", container)
        host.engine.docker("rm", container)
        ended = host.last_event("destroy", container=container)
        rows = host.rows()
    facts = {image: (row["references"], row["last_used"]) for image, row in rows.items()}
    left: Rows = {} if kind in engines.FORGETS_WHAT_LOST_ITS_TAG else {old: ([], ended)}
    assert facts == {new: (["team/train:main"], None), **left}


def test_a_use_before_the_tag_moved_counts_for_the_old_image_even_if_both_went_unwatched(
    lone_host: RealHost, kind: str
) -> None:
    host = lone_host
    old = host.torch("team/train:main")
    with host.agent():
        pass
    images.run(host.engine, "team/train:main", rm=True, name="unwatched")
    new = host.torch("team/train:main")
    with host.agent():
        rows = host.rows()
    left = {} if kind in engines.FORGETS_WHAT_LOST_ITS_TAG else {old: "unwatched"}
    assert {image: row["last_used_by"] for image, row in rows.items()} == {new: "", **left}


@engines.ON_BOTH_ENDS
@AWAY
def test_a_restart_forgets_nothing(lone_host: RealHost, end: End) -> None:
    host = lone_host
    used, unused = host.torch("team/used:1"), host.torch("team/unused:1")
    with host.agent() as agent:
        images.run(host.engine, "team/used:1", rm=True, name="before")
        ended = host.last_event("destroy", container="before")
        before = [host.row(image) for image in (used, unused)]
        end(agent)
    with host.agent():
        after = [host.row(image) for image in (used, unused)]
        events = host.json("history")["events"]
    assert before[0]["last_used"] == ended
    facts = ("last_used", "last_used_by", "idle_since", "deadline", "reason")
    assert [[row[key] for key in facts] for row in after] == [[row[key] for key in facts] for row in before]
    assert events == []


@AWAY
def test_a_use_while_the_agent_was_away_is_seen_afterwards(
    host: RealHost, collector: AcceptanceCollector, end: End
) -> None:
    image = host.torch("team/away:1")
    with host.agent() as agent:
        collector.await_image(NAME, image, lambda item: item["idle_since"])
        end(agent)
    images.run(host.engine, "team/away:1", rm=True, name="unwatched")
    ended = host.last_event("destroy", container="unwatched")
    with host.agent():
        shown = collector.await_image(NAME, image, lambda item: item["last_used"])
    assert (shown["last_used"], shown["last_used_by"]) == (ended, "unwatched")
    assert collector.events("gap") == []


def test_a_use_of_a_name_given_anew_counts_for_the_image_that_has_it(lone_host: RealHost) -> None:
    """The events of both images are replayed after the restart, the old one's untagging among them."""
    host = lone_host
    old = host.torch("team/again:1")
    with host.agent() as agent:
        host.engine.docker("image", "rm", old)
        new = host.torch("team/again:1")
        proc.eventually(lambda: host.row(new)["idle_since"])
        agent.kill()
    images.run(host.engine, "team/again:1", rm=True, name="unwatched")
    ended = host.last_event("destroy", container="unwatched")
    with host.agent():
        row = host.row(new)
    assert (row["last_used"], row["last_used_by"]) == (ended, "unwatched")
    assert host.json("history")["events"] == []


@engines.ON_BOTH_ENDS
def test_more_than_the_engine_remembers_is_a_gap_and_counts_as_a_use(
    host: RealHost, collector: AcceptanceCollector
) -> None:
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


def test_labels_that_look_like_the_attributes_of_events_mislead_nobody(
    host: RealHost, collector: AcceptanceCollector
) -> None:
    victim = host.torch("team/victim:1")
    liar = host.torch("team/liar:1", labels={"image": "team/victim:1", "name": "team/victim:1"})
    with host.agent():
        host.engine.docker("tag", liar, "team/liar:2")
        images.run(host.engine, "team/liar:1", rm=True, name="honest")
        shown = collector.await_image(NAME, liar, lambda item: item["last_used_by"] and len(item["references"]) > 1)
        other = host.row(victim)
    assert (shown["references"], shown["last_used_by"]) == (["team/liar:1", "team/liar:2"], "honest")
    assert (other["references"], other["last_used"]) == (["team/victim:1"], None)
