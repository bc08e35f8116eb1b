"""The decisions that a viewer lacks, in pages: new ones in their order, and others whose outcome has arrived."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from agent.fleet.web import documents, events

PAGE = 100  # decisions in one frame
MAX_BYTES = 500_000  # of them; a decision has 1 kB, unless somebody makes it as large as a message can be
# A viewer that lacks more decisions is told which ones it is not sent, and outcomes of older ones are not sent:
# after an outage of the monitor, hundreds of viewers would each get all that was missed. /api/decisions has them.
MAX_BEHIND = 1000

DecisionsAfter = Callable[[int, int], Awaitable[list[documents.Decision]]]


@dataclass(frozen=True, slots=True)
class Page:
    """Events to write, and the newest decision of a viewer that has them."""

    last: int
    events: list[bytes]


class DecisionPages:
    """Reads decisions by `decisions_after(row, limit)`: those above a row, in ascending order."""

    def __init__(self, decisions_after: DecisionsAfter) -> None:
        self._decisions_after = decisions_after

    async def after(self, have: int, newest: int, changed: Iterable[int]) -> Page:
        """The next page of a viewer with all decisions up to `have`. Raises HistoryUnavailable.

        `changed`: rows that were written since its tick, or whose outcome was.
        """
        made, since = [], have
        if newest - have > MAX_BEHIND:
            since = newest - PAGE
            made.append(events.event("skipped", events.as_json({"after": have, "until": since})))
        shown = [_encoded(found) for found in await self._read(_shown_again(changed, have, newest))]
        last, fresh = await self._next(since, newest)
        if shown or fresh:
            made.append(events.event("decisions", b"[%b]" % b",".join(shown + fresh)))
        return Page(last, made)

    async def _next(self, since: int, newest: int) -> tuple[int, list[bytes]]:
        """The last row of a page, and the page."""
        if newest <= since:
            return newest, []
        fresh = await self._decisions_after(since, PAGE)
        ready = [decision for decision in fresh if decision.id <= newest]
        page = _fitting(ready)
        if len(page) < len(ready):
            return ready[len(page) - 1].id, page
        return newest if len(ready) < PAGE else ready[-1].id, page

    async def _read(self, rows: set[int]) -> list[documents.Decision]:
        """These decisions, in ascending order. Most are near each other, so they come with few reads."""
        found: list[documents.Decision] = []
        while rows:
            page = await self._decisions_after(min(rows) - 1, PAGE)
            found += [decision for decision in page if decision.id in rows]
            last = page[-1].id if len(page) == PAGE else max(rows)
            rows = {row for row in rows if row > last}
        return found


def _shown_again(changed: Iterable[int], have: int, newest: int) -> set[int]:
    return {row for row in changed if newest - MAX_BEHIND < row <= have}


def _fitting(decisions: list[documents.Decision]) -> list[bytes]:
    """The first of them, at least one, that MAX_BYTES have room for."""
    page: list[bytes] = []
    size = 0
    for decision in decisions:
        encoded = _encoded(decision)
        size += len(encoded)
        if page and size > MAX_BYTES:
            break
        page.append(encoded)
    return page


def _encoded(decision: documents.Decision) -> bytes:
    return events.as_json(decision.model_dump(mode="json"))
