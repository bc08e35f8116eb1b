"""Fixtures that several files share: the centre with its broker."""

from collections.abc import Iterator

import pytest

from tests.deployment import centre as centres


@pytest.fixture(scope="package")
def centre() -> Iterator[centres.Centre]:
    """A broker with the fleet's configuration, and the certificates of two hosts, a monitor and a reader."""
    with centres.running() as running:
        yield running
