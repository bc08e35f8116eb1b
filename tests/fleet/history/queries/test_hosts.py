"""One host: its agent, its images, what holds them, its events."""

from agent.fleet.history import tables, times
from agent.fleet.history.queries import hosts
from agent.fleet.history.queries.hosts import Detail
from agent.fleet.history.reading import read
from agent.fleet.web import documents
from tests.support.builders import GB, make_id
from tests.support.table_history import TableHistory
from tests.support.times import DAY, START


async def detail(history: TableHistory, host: str = "gpu-07") -> Detail:
    return await read(history, lambda connection: hosts.detail(connection, host, START))


async def test_an_agent_says_what_it_is_and_which_policy_is_in_force(history: TableHistory) -> None:
    await history.add(tables.policies, digest="p1", document={"policy": {"ttl": "14d"}})
    await history.host(
        version="0.9.1", agent_id="a1", mode="observe", engine={"version": "28.5"}, policy_digest="p1",
        state_since=START, started=START - DAY,
    )  # fmt: skip
    assert (await detail(history)).info == documents.AgentInfo(
        version="0.9.1",
        agent_id="a1",
        mode="observe",
        engine={"version": "28.5"},
        policy={"policy": {"ttl": "14d"}},
        started=START - DAY,
        state_since=START,
        first_seen=START,
    )


async def test_a_host_that_has_said_nothing_of_itself_has_no_info(history: TableHistory) -> None:
    await history.host()
    assert await detail(history) == Detail(info=None, images=[], held=[], streams=[])


async def test_the_images_come_by_their_deadline_with_their_sentence_and_the_hosts_that_have_them_too(
    history: TableHistory,
) -> None:
    await history.host_image(image="late", idle_since=START - DAY, deadline=START + 13 * DAY)
    await history.host_image(image="never", reason="local-only")
    await history.host_image(
        image="due", action="evict", reason="idle-ttl", explanation="idle 15 d", deadline=START - DAY
    )
    for other in ("gpu-08", "gpu-09"):
        await history.host_image(other, "late")
    assert [(item.id, item.explanation, item.elsewhere) for item in (await detail(history)).images] == [
        (make_id("due"), "idle 15 d", 0),
        (make_id("late"), "idle 1 d; due in 13 d", 2),
        (make_id("never"), "possibly the only copy: no registry source is known", 0),
    ]


async def test_what_holds_the_images_comes_by_bytes_with_words_and_a_way_out(history: TableHistory) -> None:
    await history.host_image(image="a", reason="in-use", estimated=4 * GB)
    await history.host_image(image="b", reason="in-use", estimated=5 * GB)
    await history.host_image(image="c", reason="idle-ttl", action="evict", held_by="paused", estimated=7 * GB)
    await history.host_image(image="d", reason="idle-ttl", action="evict", estimated=50 * GB)
    await history.host_image(image="e", reason="reason-of-2030", estimated=1 * GB)
    held = (await detail(history)).held
    assert [(item.reason, item.words, item.images, item.bytes) for item in held] == [
        ("in-use", "are in use", 2, 9 * GB),
        ("paused", "are due, but evictions are paused", 1, 7 * GB),
        ("reason-of-2030", "are kept: reason-of-2030", 1, 1 * GB),
    ]
    assert [item.way_out for item in held] == [
        "containers hold them, stopped ones, too: `docker ps -a --filter status=exited`; remove those nobody needs",
        "end the pause: `torchkeeper resume`",
        "",
    ]


async def test_each_life_of_its_state_has_the_events_that_are_missing(history: TableHistory) -> None:
    host = await history.host()
    for number, (epoch, missing) in enumerate({"old": [], "new": [(6, 9), (12, 12)]}.items()):
        at = times.to_ms(START + number * DAY)
        stream = await history.add(tables.streams, host_id=host, epoch=epoch, contiguous=4, first_at=at, last_at=at)
        for lo, hi in missing:
            await history.add(tables.missing, stream_id=stream, lo=lo, hi=hi, since=at)
    assert (await detail(history)).streams == [
        documents.Stream(epoch="new", contiguous=4, missing=[(6, 9), (12, 12)]),
        documents.Stream(epoch="old", contiguous=4, missing=[]),
    ]
