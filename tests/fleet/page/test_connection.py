"""What the page shows while the monitor or its broker is away, and how it comes back, in a real browser."""

import pytest

from tests.support.page.browser import Browser
from tests.support.page.fleet import TB, make_decision, make_row
from tests.support.page.monitor import FakeMonitor
from tests.support.proc import eventually

HIDE = """
  Object.defineProperty(document, "hidden", { value: arguments[0], configurable: true });
  document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
"""


def open_live(browser: Browser, monitor: FakeMonitor) -> None:
    browser.open(monitor.url)
    browser.wait_for("gpu-0")
    browser.wait_for("live", "header")


def test_a_monitor_that_is_gone_is_said_and_its_return_needs_no_reload(browser: Browser, monitor: FakeMonitor) -> None:
    open_live(browser, monitor)
    browser.run("window.sameDocument = true")

    monitor.stop()
    browser.wait_for("No connection to the monitor. Figures are from", "body > .strip")
    title = browser.run("return document.title")
    monitor.fleet.hosts["gpu-new"] = make_row("gpu-new", disk_used_bytes=10 * TB)
    monitor.fleet.decisions.append(make_decision(950, "gpu-00-01", "lab/meanwhile:1"))
    monitor.start()
    browser.wait_for("live", "header")
    browser.wait_for("gpu-new")
    browser.wait_for("lab/meanwhile:1", ".live")

    assert title.startswith("(")
    assert browser.texts("body > .strip") == []
    assert browser.run("return window.sameDocument") is True


def test_a_stream_that_breaks_goes_on_where_it_was(browser: Browser, monitor: FakeMonitor) -> None:
    open_live(browser, monitor)
    monitor.decide(make_decision(960, "gpu-00-01", "lab/before:1"))
    browser.wait_for("lab/before:1", ".live")

    monitor.cut()
    monitor.decide(make_decision(961, "gpu-00-01", "lab/during:1"))
    browser.wait_for("lab/during:1", ".live")

    assert [path for path in monitor.asked if path.startswith("/api/hosts?")] == ["/api/hosts?format=columns"]


def test_a_tab_that_nobody_sees_ends_its_stream_and_misses_nothing(browser: Browser, monitor: FakeMonitor) -> None:
    open_live(browser, monitor)
    eventually(lambda: monitor.viewers == 1)

    browser.run(HIDE, True)
    eventually(lambda: monitor.viewers == 0)
    monitor.decide(make_decision(970, "gpu-00-01", "lab/unseen:1"))
    monitor.put(make_row("gpu-new", disk_used_bytes=10 * TB))
    browser.run(HIDE, False)

    browser.wait_for("lab/unseen:1", ".live")
    browser.wait_for("gpu-new", ".rows")
    eventually(lambda: monitor.viewers == 1)


def test_a_tab_opens_one_stream(browser: Browser, monitor: FakeMonitor) -> None:
    open_live(browser, monitor)

    for page in ("images", "history", "alerts", "policy", ""):
        browser.run("location.hash = arguments[0]", f"#/{page}")
        browser.wait_for("live", "header")

    assert monitor.viewers == 1
    assert len([path for path in monitor.asked if path.startswith("/api/stream")]) == 1


def test_a_broker_that_is_gone_is_said_with_what_goes_on(browser: Browser, monitor: FakeMonitor) -> None:
    open_live(browser, monitor)

    monitor.set_broker("unreachable", detail="connection refused")
    browser.wait_for("No connection to the broker mqtt://broker:1883 (connection refused)")
    text = browser.text(".band")
    monitor.set_broker("connected")

    assert "Agents go on evicting by their own policy; their decisions wait in their outboxes." in text
    browser.wait_until_gone("No connection to the broker")


def test_a_monitor_that_is_behind_says_how_far(browser: Browser, monitor: FakeMonitor) -> None:
    monitor.status = monitor.status.model_copy(update={"behind_events": 83_000})
    open_live(browser, monitor)

    browser.wait_for("Catching up: 83,000 events wait to be stored")


def test_a_page_of_an_older_version_offers_to_reload(browser: Browser, monitor: FakeMonitor) -> None:
    monitor.announced = "0.1.1"
    open_live(browser, monitor)

    browser.wait_for("The monitor is 0.1.1 now, this page 0.1.0. Reload", "body > .strip")


def test_events_that_did_not_arrive_are_said_on_the_fleet_and_on_the_host(
    browser: Browser, monitor: FakeMonitor
) -> None:
    monitor.fleet.missing["gpu-00-03"] = [(4101, 4180)]
    open_live(browser, monitor)
    browser.wait_for("The history is incomplete: 80 events did not arrive yet and are asked for again.")

    browser.run("location.hash = '#/hosts/gpu-00-03'")

    browser.wait_for("Events 4,101 to 4,180 of this host have not arrived; they are asked for again.")


@pytest.mark.parametrize(
    ("state", "words"),
    [("stale", "Its last list is shown."), ("offline", "the agent said goodbye, or the broker lost it")],
)
def test_a_silent_host_still_shows_its_images(browser: Browser, monitor: FakeMonitor, state: str, words: str) -> None:
    monitor.put(make_row("gpu-00-05", state=state))
    browser.open(f"{monitor.url}#/hosts/gpu-00-05")

    browser.wait_for(words)

    assert len(browser.rows()) == len(monitor.fleet.images["gpu-00-05"])


def test_a_page_that_was_left_holds_no_connection(browser: Browser, monitor: FakeMonitor) -> None:
    open_live(browser, monitor)

    browser.driver.get("about:blank")  # the browser keeps the page for "back"; six connections fill an origin

    eventually(lambda: monitor.viewers == 0, 5.0)
    browser.driver.back()
    browser.wait_for("live", "header")
    monitor.decide(make_decision(980, "gpu-00-01", "lab/back:1"))
    browser.wait_for("lab/back:1", ".live")
