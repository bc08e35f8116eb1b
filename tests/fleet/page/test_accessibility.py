"""The page for people who do not see it, or use no mouse: axe-core finds nothing, and keys reach everything."""

from functools import partial

import pytest
from selenium.webdriver.common.keys import Keys

from tests.support.builders import make_id
from tests.support.page import axe
from tests.support.page.browser import PHONE, Browser
from tests.support.page.fleet import Fleet, block
from tests.support.page.monitor import FakeMonitor
from tests.support.proc import eventually

IMAGE = make_id("teamai/pytorch:2.7-cuda11.8")
PAGES = {
    "": "Reclaimed by day",
    "?group=prefix": "gpu-02",
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
def fleet(fleet: Fleet) -> Fleet:
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


def test_keys_alone_lead_from_the_fleet_to_a_host_and_to_an_image(browser: Browser, monitor: FakeMonitor) -> None:
    browser.open(f"{monitor.url}#/?sort=host")
    browser.wait_for("gpu-00-00")

    browser.keys("/")
    browser.keys("gpu-01")
    browser.wait_for("Hosts 100 of")
    tab_to(browser, "grid")
    browser.keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ENTER)
    browser.wait_for("gpu-01-02", "h1")
    browser.wait_for("Images 12")
    focused = browser.run("return document.activeElement.tagName")
    tab_to(browser, "grid")
    browser.keys(Keys.ARROW_DOWN, Keys.ENTER)
    browser.wait_for("This image on all hosts", ".panel")
    browser.keys(Keys.TAB, Keys.TAB, Keys.ENTER)

    browser.wait_for("used in the last 24 h")
    assert focused == "H1"


def test_end_moves_to_the_last_row_and_home_to_the_first(browser: Browser, monitor: FakeMonitor) -> None:
    browser.open(f"{monitor.url}#/?sort=host")
    browser.wait_for("gpu-00-00")
    tab_to(browser, "grid")

    browser.keys(Keys.END)
    browser.wait_for("gpu-02-99", ".rows")
    last = browser.run("return document.activeElement.getAttribute('aria-activedescendant')")
    browser.keys(Keys.HOME)
    browser.wait_for("gpu-00-00", ".rows")

    assert last == "host-300"
    assert browser.run("return document.activeElement.getAttribute('aria-activedescendant')") == "host-0"


def test_g_and_a_letter_change_the_page(browser: Browser, monitor: FakeMonitor) -> None:
    browser.open(monitor.url)
    browser.wait_for("gpu-0")

    headings = []
    for key in "ihapf":
        before = browser.run("return document.querySelector('h1').textContent")
        browser.keys("g", key)
        eventually(partial(browser.run, "return document.querySelector('h1').textContent !== arguments[0]", before))
        headings.append(browser.run("return document.querySelector('h1').firstChild.textContent.trim()"))

    assert headings == ["Images", "History", "Alerts", "Policy", "Fleet"]


def tab_to(browser: Browser, role: str) -> None:
    """Press Tab until an element of the role has the focus."""
    for _ in range(80):
        browser.keys(Keys.TAB)
        if browser.run("return document.activeElement.getAttribute('role')") == role:
            return
    raise AssertionError(f"Tab never comes to a {role}")
