"""One route of the API: its path, its parameters, the document that it answers with."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Generic, TypeVar

from agent.core import text
from agent.fleet.history.queries import paging
from agent.fleet.web import problems
from agent.fleet.web.access import Visitor
from agent.fleet.web.documents import Document
from agent.fleet.web.parameters import LARGEST_PAGE, Page, Query
from agent.fleet.web.services import Services

Q = TypeVar("Q", bound=Query)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Generic[Q]):
    """One request, checked. `path`: the variable parts of its path; `now`: when it came."""

    services: Services
    query: Q
    path: Mapping[str, str]
    now: datetime
    visitor: Visitor


Handle = Callable[[Asked[Any]], Awaitable[Document]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """`rows`: the field of the document that is a table, for CSV; "" if there is none.

    `fresh`: seconds for which everybody who asks for the same gets the same document.
    """

    path: str
    summary: str
    answer: type[Document]
    other: type[Document] | None = None  # what it answers with another `format`
    also: tuple[tuple[str, str], ...] = ()  # other codes with the same document, and when
    handle: Handle
    query: type[Query] = Query
    rows: str = ""
    fresh: float = 0.0
    status: Callable[[Any], HTTPStatus] = lambda _: HTTPStatus.OK

    @property
    def answers(self) -> tuple[type[Document], ...]:
        """The models of all its documents."""
        return (self.answer,) if self.other is None else (self.answer, self.other)

    async def document(self, asked: Asked[Any]) -> Document:
        """The answer. Raises Refusal and HistoryUnavailable."""
        if isinstance(asked.query, Page) and asked.query.limit > LARGEST_PAGE:
            raise problems.bad_value("limit", f"must be at most {LARGEST_PAGE}; `next` leads to the next page")
        try:
            return await self.handle(asked)
        except paging.BadCursor as error:
            raise problems.bad_value("after", f"{text.quoted(getattr(asked.query, 'after', ''))} {error}") from None
