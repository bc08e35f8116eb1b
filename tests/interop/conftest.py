"""One broker of each kind for the whole suite; a test that kills or needs TLS starts its own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.interop.brokers import KINDS, Kind, Place
from tests.support.publishing import PublisherRig, publisher_rig


@pytest.fixture(scope="module", params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


@pytest.fixture(scope="module")
def place(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with kind.run(False) as server:
        yield Place(kind, server, tmp_path_factory.mktemp("secret"))


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[PublisherRig]:
    """A host's outbox and board."""
    async with publisher_rig(tmp_path) as made:
        yield made
