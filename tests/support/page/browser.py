"""Debian's Chromium, driven by selenium: one for each module of tests, as its start takes seconds."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.support.proc import eventually, require_program

DESKTOP = (1400, 900)
PHONE = (390, 844)
# A minute of waiting becomes an instant: the page's own times of half a minute and more are a hundred times shorter.
HASTE = """
  const usual = window.setTimeout;
  window.setTimeout = (work, time, ...more) => usual(work, time >= 30000 ? time / 100 : time, ...more);
"""


# How the console says that a server is away
AWAY = ("ERR_CONNECTION", "ERR_INCOMPLETE", "ERR_EMPTY", "ERR_SOCKET_NOT_CONNECTED")


class Browser:
    """One window of Chromium."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        """The page anew, without what an earlier one left in memory."""
        self.driver.get("about:blank")
        self.driver.get(url)

    def size(self, width: int, height: int) -> None:
        """The size of the page itself; a window is larger by its frame, and never narrower than 500 pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def theme(self, name: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def restore(self) -> None:
        """As a new browser is: the size of a desktop, light colours, nothing remembered."""
        self.driver.get("about:blank")
        self.size(*DESKTOP)
        self.theme("light")
        self.driver.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": "*", "storageTypes": "all"})

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def text(self, selector: str = "main") -> str:
        return str(self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector))

    def texts(self, selector: str) -> list[str]:
        script = "return [...document.querySelectorAll(arguments[0])].map((element) => element.innerText)"
        return list(self.run(script, selector))

    def wait_for(self, text: str, selector: str = "main") -> None:
        """Until the text is in sight. Raises AssertionError, with what was there instead."""
        try:
            eventually(lambda: text in self.text(selector), 30.0)
        except AssertionError:
            raise AssertionError(f"{text!r} did not appear in {selector}: {self.text(selector)[:2000]!r}") from None

    def wait_until_gone(self, text: str, selector: str = "main") -> None:
        eventually(lambda: text not in self.text(selector), 30.0)

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def click(self, selector: str) -> None:
        self.find(selector).click()

    def click_on(self, text: str) -> None:
        """The first link or button with this text."""
        path = f"//*[self::a or self::button][normalize-space()={text!r}]"
        self.driver.find_element(By.XPATH, path).click()

    def keys(self, *keys: str) -> None:
        """To whatever has the focus."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def rows(self, grid: str = "#main .rows") -> list[str]:
        """The rows that are in the document, in their order."""
        script = """
          const rows = [...document.querySelectorAll(`${arguments[0]} .row`)];
          rows.sort((a, b) => a.ariaRowIndex - b.ariaRowIndex);
          return rows.map((row) => row.innerText.replace(/\\n+/g, " "));
        """
        return list(self.run(script, grid))

    def severe(self) -> list[str]:
        """What the console says is wrong since the last call. A server that is away is none of it."""
        lines = [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]  # type: ignore[no-untyped-call]
        return [line for line in lines if not any(error in line for error in AWAY)]

    def picture(self, path: Any) -> None:
        self.driver.save_screenshot(str(path))


@contextmanager
def chromium(*, hasty: bool = True) -> Iterator[Browser]:
    """A browser without a window. `hasty`: long times of the page are shorter."""
    options = webdriver.ChromeOptions()
    options.binary_location = require_program("chromium", "chromium")
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--force-prefers-reduced-motion",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(require_program("chromedriver", "chromium-driver")))
    try:
        if hasty:
            driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": HASTE})
        browser = Browser(driver)
        browser.size(*DESKTOP)
        yield browser
    finally:
        driver.quit()
