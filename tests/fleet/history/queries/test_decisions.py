"""Decisions in pages, filtered by whatever an operator knows."""

from typing import Any

import pytest

from agent.fleet.history.queries import decisions
from agent.fleet.history.queries.decisions import Filter
from agent.fleet.history.queries.paging import BadCursor
from agent.fleet.history.reading import read
from tests.support.builders import make_id
from tests.support.table_history import TableHistory
from tests.support.times import DAY, HOUR, START


async def found(history: TableHistory, limit: int = 100, **wanted: Any) -> list[str]:
    page = await read(history, lambda connection: decisions.page(connection, Filter(**wanted), "", limit))
    return [decision.decision_id for decision in page.decisions]


async def test_decisions_are_filtered_by_each_property(history: TableHistory) -> None:
    await history.decision("plain")
    await history.decision("host", host="gpu-08", at=START + HOUR)
    await history.decision("image", image="other", at=START + 2 * HOUR)
    await history.decision("reason", reason="disk-pressure", at=START + 3 * HOUR)
    await history.decision("removed", outcome="removed", at=START + 4 * HOUR)
    await history.decision("regret", outcome="removed", regret_at=START + DAY, at=START + 5 * HOUR)
    await history.decision("named", names=["Lab/50%_done:1"], at=START + 6 * HOUR)
    await history.decision("failed", outcome="failed", error="device or resource busy", at=START + 7 * HOUR)
    filters: list[dict[str, Any]] = [
        {"host": "gpu-08"},
        {"host": "gpu-0"},
        {"image": make_id("other").removeprefix("sha256:")},
        {"image": make_id("other")[7:19]},
        {"reason": "disk-pressure"},
        {"outcome": "removed"},
        {"outcome": "pending", "host": "gpu-08"},
        {"regret": True},
        {"regret": False, "outcome": "removed"},
        {"q": "lab/50%_D"},
        {"q": "50__done"},
        {"q": "RESOURCE busy"},
        {"since": START + 7 * HOUR},
        {"until": START + HOUR},
    ]
    assert [await found(history, **wanted) for wanted in filters] == [
        ["host"],
        [],
        ["image"],
        ["image"],
        ["reason"],
        ["regret", "removed"],
        ["host"],
        ["regret"],
        ["removed"],
        ["named"],
        [],
        ["failed"],
        ["failed"],
        ["plain"],
    ]


async def test_pages_follow_each_other_without_gap_or_repeat_while_new_decisions_arrive(history: TableHistory) -> None:
    for number in range(5):  # two at a time, so that the time alone does not order them
        await history.decision(f"d{number}", at=START + (number // 2) * HOUR)
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        cursor = after
        page = await read(history, lambda connection: decisions.page(connection, Filter(), cursor, 2))  # noqa: B023
        seen += [decision.decision_id for decision in page.decisions]
        await history.decision(f"new{len(seen)}", at=START + DAY)
        after = page.next
    assert seen == ["d4", "d3", "d2", "d1", "d0"]


async def test_the_last_page_has_no_next(history: TableHistory) -> None:
    await history.decision("d1")
    await history.decision("d2")
    page = await read(history, lambda connection: decisions.page(connection, Filter(), "", 2))
    assert page.next is None


async def test_a_cursor_of_another_list_is_refused(history: TableHistory) -> None:
    with pytest.raises(BadCursor):
        await read(history, lambda connection: decisions.page(connection, Filter(), "1.2.3", 2))


async def test_decisions_after_a_row_come_in_the_order_of_their_arrival(history: TableHistory) -> None:
    first = await history.decision("late", at=START + DAY)
    for name in ("early", "middle", "last"):
        await history.decision(name, at=START)
    arrived = await read(history, lambda connection: decisions.arrived_after(connection, first, 2))
    assert [decision.decision_id for decision in arrived] == ["early", "middle"]


async def test_an_outcome_whose_decision_has_not_arrived_is_shown_without_a_reason(history: TableHistory) -> None:
    await history.decision("d1", reason="", action="", explanation="", outcome="removed", at=START)
    page = await read(history, lambda connection: decisions.page(connection, Filter(), "", 1))
    assert [(decision.reason, decision.outcome) for decision in page.decisions] == [("", "removed")]


async def test_only_a_plain_digest_reference_becomes_a_command(history: TableHistory) -> None:
    plain = f"registry.example:5000/team/a@{make_id('x')}"
    await history.image("evil", origin=f"a@{make_id('x')}; rm -rf /")
    await history.image("named", origin=None)
    await history.decision("evil", image="evil")
    await history.decision("named", image="named", names=["team/a:1", plain])
    page = await read(history, lambda connection: decisions.page(connection, Filter(), "", 10))
    assert {decision.decision_id: decision.pull for decision in page.decisions} == {
        "evil": None,
        "named": f"docker pull {plain}",
    }
