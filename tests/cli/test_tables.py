"""The tables of images: one line for each image where it fits, two at 80 columns, never folded in a pipe."""

import pytest

from agent.cli import tables
from agent.cli.plan import Ahead
from agent.cli.selection import Selection, Sort, quiet_names
from agent.core.policy.decision import Plan
from agent.core.policy.settings import Policy
from agent.core.policy.totals import StoppedOnly
from tests.cli.printing import lines
from tests.support.builders import (
    MB,
    NOW,
    container_of,
    decide,
    idle_usage,
    make_id,
    make_image,
    pulled_image,
    pytorch_image,
)
from tests.support.times import DAY

LONG = "registry.example:5000/platform/base/web-server-with-everything-for-everybody-and-more:2.9-20261130"


def plan() -> Plan:
    """An image to evict, one that is kept, and one with two names of which one is very long."""
    return decide(
        pytorch_image("a", "corp/app:1", layers=30 * MB),
        pytorch_image("b", "corp/app:latest", layers=10 * MB),
        pulled_image("c", "corp/web:1", LONG, layers=20 * MB),
        make_image("d", layers=5 * MB),
    )


def rows(width: int | None) -> list[str]:
    """The lines of the table, without its heading and what stands below it."""
    shown = lines(tables.plan(plan(), width=width), width)
    return shown[1 : shown.index("")]


def test_at_80_columns_the_reason_stands_below_the_name() -> None:
    assert rows(80)[:5] == [
        "evict     idle-ttl       corp/app:1",
        "                         idle 100 d, TTL 14 d; frees about 30.0 MB",
        "                         PyTorch: ENV PYTORCH_VERSION=2.9.0",
        "keep      protected-tag  corp/app:latest",
        "                         kept: corp/app:latest matches policy.protect",
    ]


def short_names(width: int) -> list[str]:
    """The lines of images whose names all fit."""
    images = (pytorch_image("a", "corp/app:1", layers=30 * MB), pytorch_image("b", "corp/app:latest"))
    shown = lines(tables.plan(decide(*images), width=width), width)
    return shown[1 : shown.index("")]


def test_from_120_columns_an_image_is_one_line() -> None:
    assert len(short_names(119)) == 5
    assert short_names(120) == [
        "evict     idle-ttl       corp/app:1       idle 100 d, TTL 14 d; frees about 30.0 MB; PyTorch: ENV"
        " PYTORCH_VERSION=2.9.0",
        "keep      protected-tag  corp/app:latest  kept: corp/app:latest matches policy.protect",
    ]


def test_in_a_terminal_every_line_fits_whatever_the_names() -> None:
    for width in (80, 120, 200):
        for table in (tables.plan(plan(), width=width), tables.images(plan(), width=width)):
            assert max(map(len, lines(table, width))) <= width


def test_a_name_that_is_too_long_is_folded_and_the_other_images_stay_on_one_line() -> None:
    shown = rows(120)
    assert [line.split()[2] for line in shown[:2]] == ["corp/app:1", "corp/app:latest"]
    assert shown[0].endswith("frees about 30.0 MB")  # the sign does not fit beside, and is left out
    assert "".join(line[25:73].strip() for line in shown[2:]) == f"corp/web:1{LONG}"


def test_where_there_is_no_terminal_each_image_is_one_line_with_all_its_names() -> None:
    assert len(rows(None)) == 3
    assert [line for line in rows(None) if LONG in line] == [
        f"keep      not-pytorch    corp/web:1, {LONG}  nothing shows that it is a PyTorch image"
    ]
    images = lines(tables.images(plan(), width=None), None)
    assert sum(LONG in line for line in images) == 1
    assert images[0].split() == ["TORCH", "ACCEL", "USED", "IDLE", "DUE", "SIZE", "IMAGE", "STATE"]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (Sort.NAME, ["corp/app:1", "corp/app:latest", "corp/web:1"]),
        (Sort.SIZE, ["corp/app:1", "corp/web:1", "corp/app:latest"]),
        (Sort.REASON, ["corp/web:1", "corp/app:latest", "corp/app:1"]),
        (Sort.DUE, ["corp/app:1", "corp/app:latest", "corp/web:1"]),
    ],
)
def test_images_are_sorted_as_asked(order: Sort, expected: list[str]) -> None:
    assert [item.image.references[0] for item in Selection(sort=order).of(plan())] == expected


def test_the_longest_idle_comes_first_where_that_is_asked() -> None:
    images = [pytorch_image(name) for name in "abc"]
    ago = (3, 9, 6)  # days
    usages = tuple(
        idle_usage(image, last_used=NOW - days * DAY, first_seen=NOW - 20 * DAY)
        for image, days in zip(images, ago, strict=True)
    )
    ordered = Selection(sort=Sort.IDLE).of(decide(*images, usages=usages))
    assert [item.image.references[0] for item in ordered] == ["team/b:1", "team/c:1", "team/a:1"]


def test_only_what_would_be_removed_is_shown_where_that_is_asked() -> None:
    shown = lines(tables.plan(plan(), chosen=Selection(evict=True), width=None), None)
    assert [line.split()[2] for line in shown[1 : shown.index("")]] == ["corp/app:1"]
    assert "4 images, 1 to evict, about 30.0 MB to free" in shown


def test_without_anything_to_remove_no_empty_table_is_shown() -> None:
    shown = lines(tables.plan(decide(pulled_image("web")), chosen=Selection(evict=True), width=None), None)
    assert shown[0] == "1 image, 0 to evict, about 0 B to free"


def test_the_names_alone_are_every_name_and_the_id_of_what_has_none() -> None:
    assert quiet_names(Selection().of(plan())) == ["corp/app:1", "corp/app:latest", "corp/web:1", LONG]
    assert quiet_names(Selection(show_all=True).of(plan()))[-1] == make_id("d")


def test_a_host_without_anything_due_is_shown_the_command_that_looks_ahead() -> None:
    coming = decide(pytorch_image("a", layers=30 * MB), pytorch_image("b", layers=10 * MB))
    shown = lines(tables.nothing_due(Ahead(15 * DAY, coming), "torchkeeper plan --at 15d"))
    assert shown == ["", "nothing is due yet; `torchkeeper plan --at 15d` shows 2 images, 40.0 MB"]


def stopped() -> tuple[StoppedOnly, ...]:
    image = pytorch_image("a", "corp/app:1", layers=30 * MB)
    names = [f"a-container-with-quite-a-long-name-{number}" for number in range(3)]
    containers = tuple(container_of(image, name, last_active=NOW - 2 * DAY) for name in names)
    [item] = decide(image, containers=containers).decisions
    return (StoppedOnly(containers, item),)


def test_the_command_that_frees_an_image_is_one_line_however_long_it_is() -> None:
    command = "docker rm " + " ".join(f"a-container-with-quite-a-long-name-{number}" for number in range(3))
    assert lines(tables.stopped(stopped(), NOW, width=80))[2:] == ["2 d      30.0 MB  corp/app:1", f"  {command}"]
    assert lines(tables.stopped(stopped(), NOW, width=None), None)[2:] == [f"2 d      30.0 MB  corp/app:1  {command}"]


def test_a_held_eviction_is_one_line_of_120_columns_without_what_does_not_fit() -> None:
    held = decide(pytorch_image("a", "corp/app-with-a-name:1", layers=30 * MB), rules=Policy(observe=True))
    assert lines(tables.plan(held, width=120), 120)[1] == (
        "evict (held: observe)  idle-ttl  corp/app-with-a-name:1  idle 100 d, TTL 14 d; frees about 30.0 MB"
    )
