"""Images across the fleet."""

from typing import Any

from agent.fleet.history.queries import images
from agent.fleet.history.queries.images import Filter
from agent.fleet.history.reading import read
from agent.fleet.web import documents
from tests.support.builders import GB, make_digest, make_id
from tests.support.table_history import TableHistory
from tests.support.times import DAY, HOUR, START


async def page(history: TableHistory, after: str = "", limit: int = 100, **wanted: Any) -> documents.Images:
    return await read(history, lambda connection: images.page(connection, Filter(**wanted), after, limit, START))


async def fill(history: TableHistory) -> None:
    """`base` is on three hosts, `tune` on one, `nginx` is not PyTorch."""
    await history.image("base", torch_version="2.9.0", accelerator="cuda12.8", size=9 * GB)
    await history.image("tune", size=12 * GB)
    await history.host_image("gpu-07", "base", reason="in-use", last_used=START, names=["a:1"], estimated=1 * GB)
    await history.host_image("gpu-08", "base", last_used=START - DAY, names=[], estimated=2 * GB)
    await history.host_image("gpu-09", "base", reason="local-only", names=["b:1"], estimated=3 * GB)
    await history.host_image("gpu-07", "tune", reason="local-only", last_used=START - HOUR, names=["lab/tune:7"])
    await history.host_image("gpu-07", "nginx", reason="not-pytorch", names=["nginx:1"], estimated=90 * GB)
    await history.decision("d1", image="base", outcome="removed", regret_at=START, at=START - 80 * DAY)
    await history.decision("d2", image="base", outcome="removed", regret_at=START, at=START - 100 * DAY)
    await history.decision("d3", image="base", outcome="removed", at=START - DAY)


async def test_an_image_has_its_sums_over_all_hosts(history: TableHistory) -> None:
    await fill(history)
    base = (await page(history)).images[0]
    assert base == documents.ImageSummary(
        id=make_id("base"),
        references=base.references,
        torch_version="2.9.0",
        accelerator="cuda12.8",
        size_bytes=9 * GB,
        hosts=3,
        in_use=1,
        last_used=START,
        estimated_bytes=6 * GB,
        local_only=1,
        regrets_90d=1,
    )
    assert base.references in (["a:1"], ["b:1"])


async def test_images_are_sorted_and_filtered_as_asked(history: TableHistory) -> None:
    await fill(history)
    wanted: list[dict[str, Any]] = [
        {},
        {"sort": "hosts"},
        {"sort": "size"},
        {"sort": "used"},
        {"every": True},
        {"q": "TUNE"},
        {"q": make_id("base")[7:30]},
        {"q": "nginx"},
        {"q": "nginx", "every": True},
    ]
    found = [[item.id for item in (await page(history, **each)).images] for each in wanted]
    base, tune, nginx = make_id("base"), make_id("tune"), make_id("nginx")
    assert found == [
        [base, tune],
        [base, tune],
        [tune, base],
        [base, tune],
        [nginx, base, tune],
        [tune],
        [base],
        [],
        [nginx],
    ]


async def test_the_next_page_goes_on_where_sizes_are_equal(history: TableHistory) -> None:
    for name in ("one", "two", "three"):
        await history.host_image("gpu-07", name, estimated=GB)
    first = await page(history, limit=2)
    second = await page(history, after=first.next or "", limit=2)
    assert {item.id for item in (*first.images, *second.images)} == {make_id("one"), make_id("two"), make_id("three")}
    assert (len(first.images), second.next) == (2, None)


async def test_sizes_that_hosts_made_up_neither_overflow_nor_fail(history: TableHistory) -> None:
    for host in ("gpu-07", "gpu-08", "gpu-09"):
        await history.host_image(host, "huge", estimated=2**63 - 1)
    await history.host_image("gpu-07", "small", estimated=1)
    first = await page(history, limit=1)
    second = await page(history, after=first.next or "", limit=1)
    assert [item.id for item in (*first.images, *second.images)] == [make_id("huge"), make_id("small")]


async def test_one_image_has_its_hosts_its_decisions_and_its_command(history: TableHistory) -> None:
    await fill(history)
    origin = make_digest("teamai/a", "gone")
    await history.image("gone", origin=origin)
    await history.decision("d4", image="gone", names=["teamai/a:1"])
    base = await read(history, lambda connection: images.detail(connection, make_id("base")[7:19], START))
    gone = await read(history, lambda connection: images.detail(connection, make_id("gone")[7:], START))
    missing = await read(history, lambda connection: images.detail(connection, "0" * 64, START))
    assert base is not None
    assert gone is not None
    assert [(item.host, item.explanation) for item in base.hosts] == [
        ("gpu-07", "a container that does not run has it"),
        ("gpu-08", "idle"),
        ("gpu-09", "possibly the only copy: no registry source is known"),
    ]
    assert [item.decision_id for item in base.decisions] == ["d3", "d1", "d2"]
    assert (base.image.hosts, base.image.references) == (3, ["a:1", "b:1", "teamai/a:1"])
    assert (gone.image.hosts, gone.hosts, gone.pull, missing) == (0, [], f"docker pull {origin}", None)
