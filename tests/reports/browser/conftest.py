# SPDX-License-Identifier: Apache-2.0
"""A real headless Chromium, or the reason why there is none.

Its log of the console and of every request is kept, so that tests can read what a page did.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # continuous integration runs as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--disable-background-networking",
)


class Browser:
    """Chromium with the few actions that the tests need."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(
        self, page: Path | str, *, width: int = 1280, height: int = 900, dark: bool = False
    ) -> None:
        """Load a page from disk, or an address, in a window of that size, with an empty log."""
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce"},  # a press must not miss
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.get("about:blank")
        self.driver.get_log("browser")
        self.driver.get_log("performance")
        self.driver.get(page if isinstance(page, str) else page.resolve().as_uri())

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def all(self, selector: str) -> list[Any]:
        return self.driver.find_elements("css selector", selector)

    def one(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def texts(self, selector: str) -> list[str]:
        """Texts of the elements that are shown."""
        script = """return [...document.querySelectorAll(arguments[0])]
            .filter((found) => found.checkVisibility()).map((found) => found.textContent.trim())"""
        return self.run(script, selector)

    def click(self, found: Any) -> None:
        """A real click; the driver alone may scroll what it clicks under the bar of the page."""
        self.run("arguments[0].scrollIntoView({ block: 'center' })", found)
        found.click()

    def press(self, *keys: str) -> None:
        """Type on whatever has the focus."""
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def choose(self, selector: str, value: str) -> None:
        """Set a form's element as a reader would."""
        script = """const found = document.querySelector(arguments[0]); found.value = arguments[1];
            found.dispatchEvent(new Event("input", { bubbles: true }))"""
        self.run(script, selector, value)

    def wait_for(self, script: str) -> Any:
        from selenium.common.exceptions import TimeoutException
        from selenium.webdriver.support.ui import WebDriverWait

        try:
            return WebDriverWait(self.driver, 20, poll_frequency=0.05).until(
                lambda driver: driver.execute_script(script)
            )
        except TimeoutException:
            shown = self.run("return document.body.innerText")
            raise AssertionError(f"never true: {script}; the page shows: {shown}") from None

    def console(self) -> list[str]:
        """Everything that the console said since the page was opened, warnings too."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Address of every request since the page was opened."""
        events = [json.loads(entry["message"]) for entry in self.driver.get_log("performance")]
        return [
            event["message"]["params"]["request"]["url"]
            for event in events
            if event["message"]["method"] == "Network.requestWillBeSent"
        ]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    chromedriver = shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        pytest.skip("no Chromium here: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in _FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.chrome.service.Service(chromedriver)
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield Browser(driver)
    finally:
        driver.quit()
