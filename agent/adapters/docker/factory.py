"""The engine that the settings name."""

from agent.adapters.docker.engine import DockerEngine
from agent.adapters.docker.inside import DockerInside
from agent.adapters.inside import Inside
from agent.config.sections import Docker


def make_engine(settings: Docker) -> DockerEngine:
    """The engine, not yet connected. `check` needs more of it than the contract `Engine` has."""
    return DockerEngine(settings.url)


def make_inside(settings: Docker) -> Inside:
    """The same engine, for looks inside its images."""
    return DockerInside(settings.url)
