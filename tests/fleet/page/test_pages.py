"""The other pages in a real browser: a host, images, history, alerts and policies."""

from dataclasses import replace

from tests.support.builders import make_id
from tests.support.page.browser import Browser
from tests.support.page.fleet import DAY, HOUR, Fleet, make_alert, make_decision, make_image, now
from tests.support.page.monitor import FakeMonitor
from tests.support.proc import eventually


def test_an_image_of_a_host_shows_which_reason_decided(browser: Browser, fleet: Fleet, monitor: FakeMonitor) -> None:
    fleet.images["gpu-00-01"] = [make_image("lab/finetune:exp7", reason="local-only", explanation="", deadline=None)]
    browser.open(f"{monitor.url}#/hosts/gpu-00-01")
    browser.wait_for("lab/finetune:exp7")

    browser.click("#image-0 .cell")
    browser.wait_for("The reasons, in the order the host asks them", ".panel")
    ladder = browser.texts(".ladder li")

    assert [line.split("\n")[0] for line in ladder[9:13]] == ["no", "yes", "not asked", "not asked"]
    assert [line for line in ladder if line.startswith("yes")] == ["yes\nMay it exist nowhere else?\nlocal-only"]


def test_escape_closes_the_panel_and_gives_the_focus_back(browser: Browser, monitor: FakeMonitor) -> None:
    browser.open(f"{monitor.url}#/hosts/gpu-00-01")
    browser.wait_for("Images 12")
    browser.find("#main .rows").send_keys("\ue007")
    browser.wait_for("Names", ".panel")

    browser.keys("\ue00c")

    eventually(lambda: browser.texts(".panel") == [])
    assert browser.run("return document.activeElement.getAttribute('role')") == "grid"


def test_the_images_of_a_host_are_filtered_by_reason(browser: Browser, monitor: FakeMonitor) -> None:
    browser.open(f"{monitor.url}#/hosts/gpu-00-01?only=pinned")
    browser.wait_for("Images 1 of 12")

    assert "kept: it is pinned" in browser.rows()[0]


def test_images_that_the_host_left_out_are_counted(browser: Browser, fleet: Fleet, monitor: FakeMonitor) -> None:
    name = next(host for host, row in fleet.hosts.items() if row.images_left_out == 47)
    browser.open(f"{monitor.url}#/hosts/{name}")

    browser.wait_for("47 images more are not PyTorch, and were left out by the host.")


def test_the_policy_of_a_host_is_shown_as_its_file(browser: Browser, monitor: FakeMonitor) -> None:
    browser.open(f"{monitor.url}#/hosts/gpu-00-01?past=policy")

    browser.wait_for('[policy]\nttl = "14d"\nmin_age = "1h"\nprotect = ["*:latest", "*:stable"]')


def test_a_host_page_follows_its_host(browser: Browser, fleet: Fleet, monitor: FakeMonitor) -> None:
    browser.open(f"{monitor.url}#/hosts/gpu-00-01")
    browser.wait_for("Images 12")

    fleet.images["gpu-00-01"].append(make_image("lab/arrived:1"))
    monitor.put(replace(fleet.hosts["gpu-00-01"], images=13))

    browser.wait_for("lab/arrived:1")


def test_a_host_that_nobody_knows_is_said(browser: Browser, monitor: FakeMonitor) -> None:
    browser.open(f"{monitor.url}#/hosts/gpu-99-99")

    browser.wait_for("There is nothing at /api/hosts/gpu-99-99.")
    browser.severe()  # the answer 404 itself


def test_an_image_shows_every_host_that_has_it(browser: Browser, fleet: Fleet, monitor: FakeMonitor) -> None:
    fleet.images = {"gpu-00-01": [make_image("lab/a:1")], "gpu-00-02": [make_image("lab/a:1", last_used=now() - HOUR)]}
    browser.open(f"{monitor.url}#/images/{make_id('lab/a:1')}")

    browser.wait_for("On 2 hosts; used in the last 24 h on 1; in use on 0.")

    assert [row[:9] for row in browser.rows()] == ["gpu-00-02", "gpu-00-01"]


def test_images_are_filtered_by_the_monitor(browser: Browser, monitor: FakeMonitor) -> None:
    browser.open(f"{monitor.url}#/images")
    browser.wait_for("lab/finetune:exp7")

    browser.find("[data-filter]").send_keys("vllm")
    browser.wait_until_gone("lab/finetune:exp7")

    assert [row.split(" ")[0] for row in browser.rows()] == ["vllm/vllm-openai:v0.11.0"]
    assert "/api/images?q=vllm&sort=hosts" in monitor.asked


def test_a_decision_of_the_history_opens_with_the_command_that_brings_the_image_back(
    browser: Browser, fleet: Fleet, monitor: FakeMonitor
) -> None:
    fleet.decisions = [make_decision(1, "gpu-00-01", "lab/a:1", pull="docker pull lab/a@sha256:1")]
    browser.open(f"{monitor.url}#/history")
    browser.wait_for("lab/a:1")

    browser.click("#decision-0 .cell")

    browser.wait_for("docker pull lab/a@sha256:1", ".panel")
    browser.wait_for("PYTORCH_VERSION=2.7.0 in the environment", ".panel")


def test_the_history_is_filtered_by_outcome_and_the_sheet_has_the_same_filter(
    browser: Browser, fleet: Fleet, monitor: FakeMonitor
) -> None:
    fleet.decisions = [make_decision(1, name="lab/a:1"), make_decision(2, name="lab/b:1", outcome="refused")]
    browser.open(f"{monitor.url}#/history?outcome=refused")
    browser.wait_for("lab/b:1")

    sheet = browser.find("main a[download]").get_attribute("href")

    assert len(browser.rows()) == 1
    assert sheet == f"{monitor.url}api/decisions?outcome=refused&limit=100000&format=csv"


def test_new_decisions_are_offered_and_do_not_move_the_list(browser: Browser, monitor: FakeMonitor) -> None:
    browser.open(f"{monitor.url}#/history")
    browser.wait_for("gpu-0", ".rows")
    before = browser.rows()[0]

    monitor.decide(make_decision(990, name="lab/new:1"))
    browser.wait_for("Show 1 new decision")
    held = browser.rows()[0]
    browser.click_on("Show 1 new decision")

    assert held == before
    assert eventually(lambda: "lab/new:1" in browser.rows()[0])


def test_alerts_stand_above_those_that_ended(browser: Browser, fleet: Fleet, monitor: FakeMonitor) -> None:
    fleet.alerts = [
        make_alert("gpu-00-01"),
        make_alert("gpu-00-02", "engine-down", severity="critical", message="the engine does not answer"),
        make_alert("gpu-00-03", since=now() - DAY, until=now() - DAY + HOUR),
    ]
    browser.open(f"{monitor.url}#/alerts")
    browser.wait_for("the engine does not answer")
    browser.wait_for("gpu-00-03")

    assert [row[:18] for row in browser.rows('[aria-label="Standing alerts"]')] == [
        "critical gpu-00-02",
        "warning gpu-00-01 ",
    ]
    monitor.alert(make_alert("gpu-00-02", "engine-down", severity="critical", until=now()))
    eventually(lambda: len(browser.rows('[aria-label="Standing alerts"]')) == 1)


def test_what_another_ttl_would_free_is_asked_and_copied(browser: Browser, monitor: FakeMonitor) -> None:
    browser.open(f"{monitor.url}#/policy")
    browser.wait_for("What would another TTL free?")

    browser.find("main input").send_keys("7d\n")
    browser.wait_for("TTL 7d would evict 7,750 images on 300 hosts, at least 225 TB.")

    assert (
        "1,000 of 9,000 idle times over 7d ended with a use before the present TTL: expect about 861" in browser.text()
    )
    assert '[policy]\nttl = "7d"' in browser.texts("main code")
    assert browser.run("return location.hash") == "#/policy?ttl=7d"


def test_policies_are_grouped_and_differences_are_named(browser: Browser, monitor: FakeMonitor) -> None:
    browser.open(f"{monitor.url}#/policy")

    browser.wait_for("283 hosts run this one")
    browser.wait_for("policy.ttl is 30d, not 14d")


def test_times_are_shown_in_utc_or_in_the_local_zone(browser: Browser, monitor: FakeMonitor) -> None:
    browser.open(f"{monitor.url}#/history")
    browser.wait_for("UTC", ".rows")

    browser.click_on("UTC")
    browser.wait_for("local", ".rows")
    browser.click_on("local")

    browser.wait_for("UTC", ".rows")


def test_pages_of_images_say_when_the_monitor_is_still_storing_some(
    browser: Browser, fleet: Fleet, monitor: FakeMonitor
) -> None:
    fleet.incomplete_hosts = 8_000
    for page in ("images", "policy?ttl=7d"):
        browser.open(f"{monitor.url}#/{page}")
        browser.wait_for("Not complete yet: the monitor is still storing the images of 8,000 hosts.")
    browser.open(f"{monitor.url}#/hosts/gpu-00-01")
    browser.wait_for("Not complete yet: the monitor is still storing the images of 1 host.")
