"""Fixtures of the real parts. A test that asks for one is marked `real`."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

import agent
from tests.support import dockerd, engines, mosquitto, registry
from tests.support.builders import REF, pytorch_image
from tests.support.fake_host import FakeHost, fake_host
from tests.support.proc import ROOT

# Properties take as long as the machine does: a busy one is no failure.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("patient"), max_examples=10)  # of `make test-core`
settings.load_profile("patient")

REAL = {"engine", "fresh_engine", "own_engine", "pool_of_engines", "broker", "loopback_registry"}


def pytest_report_header() -> list[str]:
    return [f"agent: {Path(agent.__file__).parent}", f"engines: {', '.join(engines.KINDS)}; {engines.current()}"]


def pytest_configure() -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a script: what we start inherits it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.environ.get("TEST_BUILT_PACKAGE") and Path(agent.__file__).is_relative_to(ROOT / "agent"):
        pytest.exit(f"the tests would import the source tree ({agent.__file__}) and not the built package", 2)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen = engines.in_turn(items)
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = [item for item in items if item in chosen]
    for item in items:
        if REAL & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.real)


@pytest.fixture(autouse=True)
def default_logging() -> None:
    """No test sees the logging that a command set up in an earlier test of this process."""
    structlog.reset_defaults()


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[FakeHost]:
    """What outlives an agent: an engine in memory, a clock that the test moves, and a state folder."""
    async with fake_host(tmp_path) as made:
        yield made


@pytest.fixture
def image(host: FakeHost) -> str:
    """The ID of a PyTorch image that was on the fake host before anybody watched."""
    return host.docker.add(pytorch_image("torch", REF))


@pytest.fixture(scope="session")
def pool_of_engines() -> Iterator[engines.Pool]:
    with engines.pool() as shared:
        yield shared


@pytest.fixture(scope="session")
def kind() -> str:
    """Which of engines.KINDS `engine` and `own_engine` are. A folder or a module that is for each overrides this."""
    return engines.KINDS[0]


@pytest.fixture  # of each test: a session's would keep the engine of a module with another `kind`
def engine(kind: str, pool_of_engines: engines.Pool) -> dockerd.Dockerd:
    """An engine that the whole session shares: other tests' images may be on it. Do not stop it."""
    return pool_of_engines.get(kind)


@pytest.fixture
def fresh_engine(engine: dockerd.Dockerd) -> dockerd.Dockerd:
    """The shared engine without a container or an image on it. Do not stop it."""
    engine.empty()
    return engine


@pytest.fixture
def own_engine(kind: str) -> Iterator[dockerd.Dockerd]:
    """An engine of the test's own, to stop, freeze and kill as it likes."""
    with engines.running(kind) as own:
        yield own


@pytest.fixture(scope="session", params=engines.FACTS)
def any_kind(request: pytest.FixtureRequest) -> str:
    """Each kind of engine in turn."""
    return str(request.param)


@pytest.fixture
def any_engine(any_kind: str, pool_of_engines: engines.Pool) -> dockerd.Dockerd:
    """An engine of each kind. The session shares them: other tests' images may be on it. Do not stop it."""
    return pool_of_engines.get(any_kind)


@pytest.fixture
def broker() -> Iterator[mosquitto.Mosquitto]:
    """A broker of the test's own, open to everyone on loopback and without persistence."""
    with mosquitto.running() as own:
        yield own


@pytest.fixture(scope="session")
def loopback_registry() -> Iterator[registry.Registry]:
    """A registry that the session shares."""
    with registry.running() as shared:
        yield shared
