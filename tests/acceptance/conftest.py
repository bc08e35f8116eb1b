"""A host on each kind of engine, a broker with accounts and the fleet's ACL, and a collector on it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.collector import PASSWORD, USER, AcceptanceCollector, collecting
from tests.acceptance.host import NAME, RealHost
from tests.support import dockerd, engines, haproxy, mosquitto

USERS = {NAME: "secret", "gpu-02": "other", USER: PASSWORD}
# What the broker has acknowledged survives even a SIGKILL: it writes its file after every change.
DURABLE = ("autosave_on_changes true", "autosave_interval 1")


@pytest.fixture(scope="session", params=engines.HEAVY)
def kind(request: pytest.FixtureRequest) -> str:
    """Every story runs on each version of the engine and on each store, but for those that say `engines.ON_ONE`."""
    return str(request.param)


@pytest.fixture
def fleet_broker() -> Iterator[mosquitto.Mosquitto]:
    with mosquitto.running(users=USERS, acl=mosquitto.ACL, persistence=True, extra=DURABLE) as broker:
        yield broker


@pytest.fixture
def collector(fleet_broker: mosquitto.Mosquitto) -> Iterator[AcceptanceCollector]:
    with collecting(fleet_broker) as subscribed:
        yield subscribed


@pytest.fixture
def lone_host(fresh_engine: dockerd.Dockerd, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[RealHost]:
    """A host without a broker, on the shared engine; with TEST_PROXY=1 behind HAProxy, which may not refuse a call.

    A test with the mark `direct` has the engine's own socket in any case.
    """
    host = RealHost(fresh_engine, tmp_path)
    if not os.environ.get("TEST_PROXY") or request.node.get_closest_marker("direct"):
        yield host
        return
    with haproxy.running(fresh_engine.socket, build_cache=True) as proxy:
        host.configure(docker={"url": proxy.url})
        yield host
        assert proxy.refusals() == []


@pytest.fixture
def host(lone_host: RealHost, fleet_broker: mosquitto.Mosquitto) -> RealHost:
    """A host on the shared engine that reports to the broker."""
    lone_host.report_to(fleet_broker)
    return lone_host
