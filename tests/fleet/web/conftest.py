from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support import fleet_web
from tests.support.fleet_web import Monitor


@pytest.fixture
async def monitor(tmp_path: Path) -> AsyncIterator[Monitor]:
    async with fleet_web.monitor(tmp_path) as running:
        yield running
