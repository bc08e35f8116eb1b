"""The routes of the API, one module for each topic."""

from agent.fleet.web.routes import decisions, history, hosts, images, overview, policy, series, system
from agent.fleet.web.routing import Route

ALL: tuple[Route, ...] = (
    *system.ROUTES,
    *overview.ROUTES,
    *hosts.ROUTES,
    *images.ROUTES,
    *decisions.ROUTES,
    *history.ROUTES,
    *series.ROUTES,
    *policy.ROUTES,
)
