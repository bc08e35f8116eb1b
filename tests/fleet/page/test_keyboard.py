"""The page without a mouse: keys reach everything."""

from functools import partial

from selenium.webdriver.common.keys import Keys

from tests.support.page.browser import Browser
from tests.support.page.monitor import FakeMonitor
from tests.support.proc import eventually


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

    assert last == "host-299"
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
