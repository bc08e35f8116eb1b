"""The routes of the API, one module for each topic."""

from agent.fleet.web.routes import decisions, hosts, system
from agent.fleet.web.routing import Route

ALL: tuple[Route, ...] = (*system.ROUTES, *hosts.ROUTES, *decisions.ROUTES)
