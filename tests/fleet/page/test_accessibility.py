"""The page for people who do not see it: axe-core finds nothing on any page."""

import pytest
from selenium.webdriver.common.keys import Keys

from tests.support.builders import make_id
from tests.support.page import axe
from tests.support.page.browser import PHONE, Browser
from tests.support.page.fleet import Fleet, block
from tests.support.page.monitor import FakeMonitor
from tests.support.page.random_fleet import make_fleet

IMAGE = make_id("teamai/pytorch:2.7-cuda11.8")
PAGES = {
    "": "Reclaimed by day",
    "?group=prefix": "gpu-07",
    "?q=nothing": "No host matches",
    "hosts/gpu-07-31": "What the images hold",
    "images": "lab/finetune:exp7",
    f"images/{IMAGE}": "used in the last 24 h",
    "history": "gpu-0",
    "alerts": "What is wrong",
    "policy?ttl=7d": "would evict",
}


@pytest.fixture(scope="module")
def script() -> str:
    return axe.source()


@pytest.fixture
def fleet() -> Fleet:
    """A few hosts: axe takes its time for each row."""
    fleet = make_fleet(8)
    block(fleet, "gpu-07-31")
    fleet.images["gpu-07-31"] = fleet.images["gpu-00-01"]
    fleet.missing["gpu-07-31"] = [(7, 9)]
    return fleet


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_axe_finds_nothing_on_any_page(browser: Browser, monitor: FakeMonitor, script: str, look: str) -> None:
    browser.theme("dark" if look == "dark" else "light")
    if look == "phone":
        browser.size(*PHONE)
    found = {}
    for page, ready in PAGES.items():
        browser.open(f"{monitor.url}#/{page}")
        browser.wait_for(ready)
        found[page] = axe.violations(browser, script)

    assert found == {page: [] for page in PAGES}


def test_axe_finds_nothing_with_a_panel_the_help_or_without_a_monitor(
    browser: Browser, monitor: FakeMonitor, script: str
) -> None:
    browser.open(f"{monitor.url}#/hosts/gpu-07-31")
    browser.wait_for("Images 12")
    browser.click("#image-0 .cell")
    browser.wait_for("Names", ".panel")
    with_panel = axe.violations(browser, script)
    browser.keys(Keys.ESCAPE, "?")
    browser.wait_for("Keys and words", "dialog")
    with_help = axe.violations(browser, script)
    browser.keys(Keys.ESCAPE)
    monitor.stop()
    browser.wait_for("No connection to the monitor", "body > .strip")

    assert (with_panel, with_help, axe.violations(browser, script)) == ([], [], [])
