"""How full a file system is, and what is to be freed."""

import pytest

from agent.core.policy.disk import DiskUsage


def space(used: int, free: int, used_inodes: int = 0, free_inodes: int = 0) -> DiskUsage:
    return DiskUsage(
        used_bytes=used,
        available_bytes=free,
        used_inodes=used_inodes,
        available_inodes=free_inodes,
    )


@pytest.mark.parametrize(
    ("given", "share", "worse"),
    [
        (space(0, 100), 0.0, "bytes"),
        (space(25, 75), 0.25, "bytes"),
        (space(100, 0), 1.0, "bytes"),
        (space(25, 75, 90, 10), 0.9, "inodes"),
        (space(90, 10, 25, 75), 0.9, "bytes"),
        (space(25, 75, 25, 75), 0.25, "bytes"),
        (space(0, 0), 0.0, "bytes"),
    ],
)
def test_the_share_is_that_of_bytes_or_inodes_whichever_is_worse(given: DiskUsage, share: float, worse: str) -> None:
    assert (given.used_fraction, given.bottleneck) == (share, worse)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (space(330, 670), "33% of 1.0 kB used"),
        (space(25, 75, 90, 10), "90% of its inodes used; 25% of 100 B used"),
    ],
)
def test_it_is_described_by_what_is_used_more(given: DiskUsage, words: str) -> None:
    assert given.describe() == words


def test_its_size_is_without_what_only_root_may_fill() -> None:
    given = space(30, 70)
    assert given.used_bytes / given.usable_bytes == given.used_fraction == 0.3


def test_what_only_root_may_fill_is_neither_used_nor_free() -> None:
    assert DiskUsage(used_bytes=45, available_bytes=45).used_fraction == 0.5


@pytest.mark.parametrize(
    ("given", "to", "wanted"),
    [
        (space(800, 200), 0.75, 50),
        (space(750, 250), 0.75, 0),
        (space(751, 249), 0.75, 1),
        (space(700, 300), 0.75, 0),
        (space(8001, 1999), 0.8, 1),
        (space(100, 900, 90, 10), 0.8, 12),  # 10 inodes too many, at 1.11 bytes each
        (space(1000, 0, 90, 10), 0.8, 200),
        (space(0, 1000, 90, 10), 0.8, 1),
    ],
)
def test_so_many_bytes_are_to_be_freed(given: DiskUsage, to: float, wanted: int) -> None:
    assert given.bytes_over(to) == wanted


@pytest.mark.parametrize("share", [0.001, 0.07, 0.1, 0.29, 0.57, 0.7, 0.851, 0.999])
def test_something_is_wanted_exactly_where_the_share_is_above(share: float) -> None:
    """Else pressure would last with nothing to do about it."""
    near = round(share * 10_000)
    for used in range(near - 3, near + 4):
        given = space(used, 10_000 - used)
        assert (given.bytes_over(share) > 0) == (given.used_fraction > share)
