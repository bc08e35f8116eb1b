"""The publisher under test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.publishing import PublisherRig, publisher_rig


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[PublisherRig]:
    """A publisher with all it touches, on a state file of its own."""
    async with publisher_rig(tmp_path) as made:
        yield made
