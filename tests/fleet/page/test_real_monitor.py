"""The page as the real monitor serves it, with a real broker and simulated hosts."""

from pathlib import Path

import agent
from tests.support import monitor, mosquitto, proc
from tests.support.fleet_simulator import Fleet, Simulator
from tests.support.page.browser import Browser

PAGES = {
    "hosts/simulated-00003": "What the images hold",
    "images": "registry.example.com/teamai/pytorch",
    "history": "idle 15 d 3 h, TTL 7 d",
    "alerts": "No alert stands.",
    "policy?ttl=3d": "TTL 3d would evict",
}


def test_the_page_follows_a_real_monitor_from_the_first_host_to_its_restart(
    browser: Browser, broker: mosquitto.Mosquitto, tmp_path: Path
) -> None:
    vendor = Path(agent.__file__).parent / "fleet/page/vendor"
    proc.require((vendor / ".lock").exists(), "the page's libraries are missing: make page")
    with monitor.running(broker.url, tmp_path) as served:
        url = f"http://127.0.0.1:{served.port}/"
        browser.open(url)
        browser.wait_for("No host has reported yet")
        hosts = Simulator(Fleet.make(20), broker.port)
        hosts.publish(hosts.fleet.births())
        browser.wait_for("simulated-00003")
        hosts.burst(4)
        assert hosts.confirm(proc.PATIENCE)
        browser.wait_for("freed 4.9 GB", ".live")

        for page, text in PAGES.items():
            browser.run("location.hash = arguments[0]", f"#/{page}")
            browser.wait_for(text)
        browser.run("location.hash = '#/'")
        served.kill()
        browser.wait_for("No connection to the monitor", "body > .strip")
        served.start()
        browser.wait_for("live", "header")
        browser.wait_for("simulated-00003")
        hosts.close()
