"""The list of hosts in a real browser: what it shows, in which order, and how it follows the monitor."""

import pytest
from selenium.webdriver import ActionChains

from tests.support.builders import GB
from tests.support.page.browser import Browser
from tests.support.page.fleet import TB, Fleet, block, make_decision, make_image, make_row, ms, now
from tests.support.page.monitor import FakeMonitor
from tests.support.proc import eventually

HTML = "<img src=x onerror=alert(1)>"


def names(browser: Browser) -> list[str]:
    return [row.split(" ")[0] for row in browser.rows()]


def icon(browser: Browser) -> str:
    return str(browser.find("link[rel=icon]").get_attribute("href"))


def tile(browser: Browser, label: str) -> list[str]:
    """The lines of a tile: its label, its figure and what stands below."""
    found = [text.split("\n") for text in browser.texts(".tile")]
    return next(lines for lines in found if lines[0] == label)


def test_the_first_rows_are_the_fullest_disks(browser: Browser, monitor: FakeMonitor) -> None:
    monitor.put(
        make_row(
            "gpu-full", disk_used_bytes=int(9.98 * TB), last_outcome="removed", last_decision_at=ms(now()) - 7_500_000
        )
    )

    browser.open(monitor.url)
    browser.wait_for("gpu-full")

    assert browser.rows()[0] == "gpu-full online 99 % over its limit; of 10 TB 0 B in 4 d 12 removed 2 h ago"
    assert browser.texts("#hosts-title") == ["Hosts 301"]


def test_only_rows_in_sight_are_in_the_document(browser: Browser, monitor: FakeMonitor) -> None:
    browser.open(monitor.url)
    browser.wait_for("gpu-0")

    assert 10 < len(browser.rows()) < 60


def test_the_tiles_sum_the_hosts_that_are_not_offline(browser: Browser, fleet: Fleet, monitor: FakeMonitor) -> None:
    fleet.hosts = {
        row.host: row
        for row in (
            make_row("a", reclaimable_bytes=300 * GB, disk_used_bytes=9 * TB),
            make_row("b", reclaimable_bytes=200 * GB, state="stale", mode="observe"),
            make_row("c", reclaimable_bytes=100 * GB, state="offline", disk_used_bytes=9 * TB),
        )
    }

    browser.open(monitor.url)
    browser.wait_for("Reclaimable now")

    assert tile(browser, "Reclaimable now") == ["Reclaimable now", "500 GB", "on 2 hosts, without 1 offline host"]
    assert tile(browser, "Hosts online") == ["Hosts online", "1", "1 only observe"]
    assert tile(browser, "Stale or offline") == ["Stale or offline", "2", "1 stale, 1 offline"]
    assert tile(browser, "Disk over high") == ["Disk over high", "1", "by their own policy"]


def test_a_tile_explains_itself(browser: Browser, monitor: FakeMonitor) -> None:
    browser.open(monitor.url)
    browser.wait_for("Stale or offline")

    browser.click_on("Stale or offline")

    browser.wait_for("Stale or offline: stale: no sign for 3 minutes.", ".definition")


def test_a_tile_shows_its_hosts(browser: Browser, fleet: Fleet, monitor: FakeMonitor) -> None:
    away = sum(row.state in ("stale", "offline") for row in fleet.hosts.values())
    browser.open(monitor.url)
    browser.wait_for("Stale or offline")

    browser.click_on(str(away))

    browser.wait_for(f"Hosts {away} of 300")
    assert browser.run("return location.hash") == "#/?only=away&sort=seen"


def test_a_decision_appears_as_it_is_made_and_its_outcome_replaces_it(browser: Browser, monitor: FakeMonitor) -> None:
    browser.open(monitor.url)
    browser.wait_for("live", "header")

    monitor.decide(make_decision(900, "gpu-00-07", "lab/new:1", outcome=None, outcome_at=None, measured_bytes=None))
    browser.wait_for("lab/new:1", ".live")
    first = browser.texts(".live li")[0]
    monitor.decide(make_decision(900, "gpu-00-07", "lab/new:1", measured_bytes=4800 * 10**6))
    browser.wait_for("freed 4.8 GB", ".live")

    assert "no outcome yet lab/new:1" in first.replace("\n", " ")
    assert [text for text in browser.texts(".live li") if "lab/new:1" in text] == [browser.texts(".live li")[0]]


def test_a_click_on_a_head_sorts_by_it_and_a_second_one_turns_the_order(browser: Browser, monitor: FakeMonitor) -> None:
    browser.open(monitor.url)
    browser.wait_for("gpu-0")

    browser.click_on("Host")
    up = (browser.rows()[0][:9], browser.find('[aria-sort="ascending"]').text)
    browser.click_on("Host\u2191")
    browser.wait_for("gpu-02-99")

    assert up == ("gpu-00-00", "Host\u2191")
    assert browser.rows()[0].startswith("gpu-02-99")
    assert browser.find('[aria-sort="descending"]').text == "Host\u2193"
    assert browser.run("return location.hash") == "#/?sort=-host"


def test_a_filter_of_a_list_that_is_scrolled_down_shows_its_first_row(browser: Browser, monitor: FakeMonitor) -> None:
    browser.open(f"{monitor.url}#/?sort=host")
    browser.wait_for("gpu-00-00")
    browser.run("document.querySelector('.rows').scrollTop = 8000")
    browser.wait_until_gone("gpu-00-00", ".rows")

    browser.find("[data-filter]").send_keys("gpu-01")
    browser.wait_for("Hosts 100 of 300")

    assert eventually(lambda: browser.rows()[0].startswith("gpu-01-00"))
    assert browser.run("return document.querySelector('.rows').scrollTop") == 0


def test_a_filter_without_hits_says_so_and_shows_all_again(browser: Browser, monitor: FakeMonitor) -> None:
    browser.open(f"{monitor.url}#/?q=gpu-99")
    browser.wait_for("No host matches 'gpu-99'. Show all")

    browser.click_on("Show all")

    browser.wait_for("Hosts 300")
    assert browser.rows()


def test_the_address_holds_the_view(browser: Browser, monitor: FakeMonitor) -> None:
    browser.open(f"{monitor.url}#/?q=gpu-02&sort=host")
    browser.wait_for("Hosts 100 of 300")

    assert browser.rows()[0].startswith("gpu-02-00")
    assert browser.find("[data-filter]").get_attribute("value") == "gpu-02"


def test_a_host_that_goes_offline_is_shown_as_such(browser: Browser, monitor: FakeMonitor) -> None:
    monitor.put(make_row("gpu-full", disk_used_bytes=int(9.98 * TB)))
    browser.open(monitor.url)
    browser.wait_for("gpu-full")

    monitor.put(make_row("gpu-full", disk_used_bytes=int(9.98 * TB), state="offline", last_seen=ms(now()) - 90_000))

    assert eventually(lambda: browser.rows()[0].startswith("gpu-full offline 1 min ago"))
    assert "old" in str(browser.find("#host-0").get_attribute("class"))


def test_a_host_that_is_forgotten_leaves_the_list(browser: Browser, monitor: FakeMonitor) -> None:
    monitor.put(make_row("gpu-full", disk_used_bytes=int(9.98 * TB)))
    browser.open(monitor.url)
    browser.wait_for("gpu-full")

    monitor.forget("gpu-full")

    browser.wait_for("Hosts 300")
    assert "gpu-full" not in names(browser)


def test_the_order_stays_while_the_pointer_is_in_the_table(browser: Browser, monitor: FakeMonitor) -> None:
    browser.open(monitor.url)
    browser.wait_for("gpu-0")
    before = names(browser)[:5]
    ActionChains(browser.driver).move_to_element(browser.find("#host-2")).perform()

    monitor.put(make_row(before[4], disk_used_bytes=int(9.99 * TB)))
    browser.wait_for("Sort again")
    held = names(browser)[:5]
    browser.click_on("Sort again")

    assert held == before
    assert eventually(lambda: names(browser)[0] == before[4])


def test_the_order_follows_the_values_while_nobody_points_at_it(browser: Browser, monitor: FakeMonitor) -> None:
    browser.open(monitor.url)
    browser.wait_for("gpu-0")
    ActionChains(browser.driver).move_to_element(browser.find(".brand")).perform()

    monitor.put(make_row("gpu-00-77", disk_used_bytes=int(9.99 * TB)))

    assert eventually(lambda: names(browser)[0] == "gpu-00-77")


def test_hosts_are_grouped_by_the_prefix_of_their_names(browser: Browser, monitor: FakeMonitor) -> None:
    browser.open(f"{monitor.url}#/?group=prefix&sort=host")
    browser.wait_for("gpu-02")
    closed = [row[:18] for row in browser.rows()]

    browser.click("#host-1 button")
    browser.wait_for("gpu-01-00")

    assert closed == ["\u25b8 gpu-00 100 hosts", "\u25b8 gpu-01 100 hosts", "\u25b8 gpu-02 100 hosts"]
    assert names(browser)[2] == "gpu-01-00"


def test_a_full_host_is_above_everything_with_its_bytes_and_the_way_out(
    browser: Browser, fleet: Fleet, monitor: FakeMonitor
) -> None:
    block(fleet, "gpu-07-31")
    browser.open(monitor.url)
    browser.wait_for("gpu-07-31 is 99 % full and nothing may be evicted")

    band = browser.text(".band")
    browser.click_on("Why nothing else may go")

    assert (
        "412 GB in use (9 images), 288 GB exist nowhere else that we know (14), 97.0 GB have a protected tag (6)"
        in band
    )
    assert "for 40 min" in band
    browser.wait_for("docker ps -a --filter status=exited", ".way-list")
    problems = sum(row.criticals for row in fleet.hosts.values())
    assert browser.run("return document.title") == f"({problems}) Fleet - torchkeeper"


def test_the_icon_and_the_title_count_problems(browser: Browser, monitor: FakeMonitor) -> None:
    monitor.put(*(make_row(name) for name in monitor.fleet.hosts))
    browser.open(monitor.url)
    browser.wait_for("gpu-0")
    calm = (browser.run("return document.title"), "circle" in icon(browser))

    monitor.put(make_row("gpu-00-01", criticals=2), make_row("gpu-00-02", criticals=1))
    eventually(lambda: browser.run("return document.title") == "(3) Fleet - torchkeeper")

    assert calm == ("Fleet - torchkeeper", True)
    assert "path" in icon(browser)


@pytest.mark.parametrize("page", ["", "hosts/HTML", "images", "history", "alerts"])
def test_a_name_with_markup_is_text_on_every_page(
    browser: Browser, fleet: Fleet, monitor: FakeMonitor, page: str
) -> None:
    fleet.hosts[HTML] = make_row(HTML, disk_used_bytes=10 * TB)
    fleet.images[HTML] = [make_image(HTML, explanation=HTML)]
    fleet.decisions.append(make_decision(901, HTML, HTML, explanation=HTML))
    fleet.alerts = [each.model_copy(update={"host": HTML, "message": HTML}) for each in fleet.alerts[:1]]

    browser.open(f"{monitor.url}#/{page.replace('HTML', '%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E')}")
    browser.wait_for(HTML)

    assert browser.run("return document.querySelectorAll('img').length") == 0


def test_without_hosts_the_page_says_what_to_do(browser: Browser, fleet: Fleet, monitor: FakeMonitor) -> None:
    fleet.hosts, fleet.decisions, fleet.alerts = {}, [], []

    browser.open(monitor.url)
    browser.wait_for("No host has reported yet")

    assert 'url = "mqtt://broker:1883"\nprefix = "torchkeeper"' in browser.text()
    assert "The collector main is connected to the broker." in browser.text()
    monitor.put(make_row("gpu-first"))
    browser.wait_for("gpu-first")
