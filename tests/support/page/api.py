"""Which document the fake monitor has at which path."""

from collections.abc import Callable, Iterator
from typing import Any

from agent.core import units
from agent.fleet.web import documents
from tests.support.page import answers, details
from tests.support.page.fleet import Fleet

VERSION = "0.1.0"


def answer(
    fleet: Fleet, status: documents.Monitor, position: str, path: str, query: dict[str, str]
) -> documents.Document | None:
    """The document at a path below /api/; None if there is none."""
    kind, _, name = path.partition("/")
    if name:
        found: Any = {"hosts": fleet.hosts, "images": details.everywhere(fleet)}.get(kind, {})
        detail: Any = {"hosts": details.host_detail, "images": details.image_detail}.get(kind)
        return detail(fleet, name) if name in found else None
    known: dict[str, Callable[[], documents.Document]] = {
        "hosts": lambda: answers.columns(fleet, position),
        "overview": lambda: answers.overview(fleet, status),
        "decisions": lambda: documents.Decisions(decisions=list(_chosen(fleet, query)), next=None),
        "images": lambda: answers.images(fleet, query.get("q", "")),
        "alerts": lambda: documents.Alerts(
            alerts=[each for each in fleet.alerts if (each.until is None) == (query.get("standing") == "true")],
            next=None,
        ),
        "series": lambda: answers.series(query["kind"]),
        "events": lambda: documents.HistoryEvents(
            events=[each for each in fleet.events if each.kind == query["kind"]], next=None
        ),
        "policies": lambda: answers.policies(fleet),
        "what-if": lambda: answers.what_if(fleet, units.parse_duration(query["ttl"])),
        "me": lambda: documents.Me(user=None, role="viewer", actions=False),
        "version": lambda: documents.Version(version=VERSION),
    }
    return known[kind]() if kind in known else None


def _chosen(fleet: Fleet, query: dict[str, str]) -> Iterator[documents.Decision]:
    for decision in reversed(fleet.decisions):
        named = query.get("q", "") in " ".join((*decision.references, decision.explanation))
        same = all(query.get(name) in (None, "", getattr(decision, name)) for name in ("host", "outcome", "reason"))
        if named and same and query.get("regret") in (None, str(decision.regret_at is not None).lower()):
            yield decision
