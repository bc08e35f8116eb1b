"""The monitor itself: its health, its version and its visitor."""

from http import HTTPStatus
from typing import Any

from agent.fleet.web import documents
from agent.fleet.web.routing import Asked, Route


async def health(asked: Asked[Any]) -> documents.Health:
    """Everybody may ask, so what exactly fails is told only where everybody may read the rest, too."""
    found = asked.services.health()
    return found if asked.services.settings.auth.mode == "open" else found.model_copy(update={"error": None})


def _status(answer: documents.Health) -> HTTPStatus:
    fails = answer.broker == "unreachable" or answer.database == "failing"
    return HTTPStatus.SERVICE_UNAVAILABLE if fails else HTTPStatus.OK


async def version(asked: Asked[Any]) -> documents.Version:
    return documents.Version(version=asked.services.version)


async def me(asked: Asked[Any]) -> documents.Me:
    visitor = asked.visitor
    actions = asked.services.settings.actions and visitor.role == "operator"
    return documents.Me(user=visitor.user, role=visitor.role, actions=actions)


ROUTES = (
    Route(
        path="/healthz",
        summary="Whether the monitor works; 503 while the broker is away or nothing can be stored",
        answer=documents.Health,
        handle=health,
        status=_status,
        also=(("503", "the broker is away, or nothing can be stored"),),
    ),
    Route(path="/api/me", summary="Who asks, and what that visitor may do", answer=documents.Me, handle=me),
    Route(path="/api/version", summary="The monitor's version", answer=documents.Version, handle=version),
)
