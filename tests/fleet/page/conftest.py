"""A browser for each module, and a monitor in memory for each test."""

from collections.abc import Iterator

import pytest

from tests.support.page.browser import Browser, chromium
from tests.support.page.fleet import Fleet
from tests.support.page.monitor import FakeMonitor, running
from tests.support.page.random_fleet import make_fleet


@pytest.fixture(scope="module")
def shared_browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def browser(shared_browser: Browser) -> Iterator[Browser]:
    """At the size of a desktop, with light colours. Nothing may be wrong in its console at the end."""
    shared_browser.restore()
    shared_browser.severe()
    yield shared_browser
    assert shared_browser.severe() == []


@pytest.fixture
def fleet() -> Fleet:
    """Three hundred hosts; a test changes it before it opens the page."""
    return make_fleet(300)


@pytest.fixture
def monitor(fleet: Fleet) -> Iterator[FakeMonitor]:
    with running(fleet) as monitor:
        yield monitor
