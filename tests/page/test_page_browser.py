"""The pages in a real browser, Debian's chromium, over HTTP: what is drawn, the keyboard, accessibility.

The rules are those of axe-core (https://github.com/dequelabs/axe-core).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import axe_core_python
import page_artifacts
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver

from imagebuild.page.writing import write_page

pytestmark = pytest.mark.seconds
AXE = Path(axe_core_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
INDEX, IMAGE, VERSION = "index.html", "images/web/index.html", "images/web/2026-11-03.1/index.html"


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a page of two images, one of them hostile."""
    folder = tmp_path_factory.mktemp("page")
    page_artifacts.fleet(folder / "artifacts", images=2, versions=6)
    page_artifacts.artifact(
        folder / "artifacts", "hostile", inventory=page_artifacts.hostile_guest(), verdict="failed",
        description=page_artifacts.HOSTILE, message=page_artifacts.HOSTILE,
    )  # fmt: skip
    page_artifacts.artifact(folder / "artifacts", "hostile", 1)
    write_page(folder / "artifacts", folder / "public", title="Images", base_url=None, history=None)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder / "public")))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def started(**preferences: Any) -> Iterator[WebDriver]:
    """A browser and its temporary folder, where it leaves files.

    The folder's path is short: the browser makes a Unix socket some 60 characters below it, and ends at once
    where that path is longer than the 107 bytes that a socket's address holds. pytest's own folders are too deep.
    """
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.add_experimental_option("prefs", preferences)
    with TemporaryDirectory(prefix="b-", dir="/tmp", ignore_cleanup_errors=True) as scratch:
        service = webdriver.ChromeService("/usr/bin/chromedriver", env={**os.environ, "TMPDIR": scratch})
        driver = webdriver.Chrome(options, service)
        try:
            yield driver
        finally:
            driver.quit()


@pytest.fixture(scope="module")
def browser() -> Iterator[WebDriver]:
    with started() as driver:
        yield driver


def width(browser: WebDriver, pixels: int) -> None:
    metrics = {"width": pixels, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def colours(browser: WebDriver, scheme: str) -> None:
    wanted = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": wanted})


def violations(browser: WebDriver) -> list[tuple[str, list[str]]]:
    browser.execute_script(AXE)
    found = browser.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
    return [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found["violations"]]


@pytest.mark.parametrize("page", [INDEX, IMAGE, VERSION, "images/hostile/2026-11-01.1/index.html"])
def test_axe_finds_nothing_in_light_and_dark_and_on_a_phone(browser: WebDriver, site: str, page: str) -> None:
    for scheme, pixels in (("light", 1280), ("dark", 320)):
        width(browser, pixels)
        colours(browser, scheme)
        browser.get(site + page)
        assert violations(browser) == [], (scheme, pixels)
        sizes = browser.execute_script(
            "const root = document.documentElement; return [root.scrollWidth, root.clientWidth]"
        )
        assert sizes[0] <= sizes[1], "the page scrolls sideways"
    width(browser, 1280)
    assert browser.get_log("browser") == []


def test_colours_follow_the_preference(browser: WebDriver, site: str) -> None:
    papers = []
    for scheme in ("light", "dark"):
        colours(browser, scheme)
        browser.get(site)
        papers.append(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))
    assert papers == ["rgb(246, 247, 249)", "rgb(13, 17, 23)"]


def test_plots_and_pictures_are_drawn(browser: WebDriver, site: str) -> None:
    seen = {}
    for page in (INDEX, IMAGE, VERSION):
        browser.get(site + page)
        seen[page] = browser.execute_script(
            "return [...document.images].map(one => [one.complete && one.naturalWidth > 0, one.offsetHeight, one.alt])"
        )
    assert len(seen[INDEX]) == 4 * 3, "four curves of each image"
    assert len(seen[IMAGE]) == 4
    assert len(seen[VERSION]) == 2, "the disk, and the guest's screen"
    assert all(drawn and height > 20 and alt for images in seen.values() for drawn, height, alt in images)


def test_somebody_can_click_from_the_index_to_a_version_and_on(browser: WebDriver, site: str) -> None:
    browser.get(site)
    for text, title in (
        ("web", "web – Images"),
        ("2026-11-03.1", "web 2026-11-03.1 – Images"),
        ("Newer: 2026-11-04.1 →", "web 2026-11-04.1 – Images"),
        ("All images", "Images"),
    ):
        browser.find_element(By.LINK_TEXT, text).send_keys(Keys.ENTER)
        assert browser.title == title
    assert browser.get_log("browser") == []


def test_the_keyboard_reaches_the_skip_link_first_and_then_the_links(browser: WebDriver, site: str) -> None:
    browser.get(site)
    texts = []
    for _ in range(4):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        focused = browser.switch_to.active_element
        texts.append(focused.get_attribute("aria-label") or focused.text)
    assert texts == ["Skip to the content", "Images", "Feed\nof new versions (Atom)", "Overview of all images"]
    browser.get(site)
    browser.switch_to.active_element.send_keys(Keys.TAB)
    assert browser.switch_to.active_element.rect["y"] >= 0, "the skip link is visible when it has the focus"
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    assert browser.switch_to.active_element.get_attribute("id") == "content"


def test_nothing_of_a_hostile_guest_runs(browser: WebDriver, site: str) -> None:
    for page in (INDEX, "images/hostile/index.html", "images/hostile/2026-11-01.1/index.html"):
        browser.get(site + page)
        assert browser.find_elements(By.TAG_NAME, "script") == []
        assert "\x1b" not in browser.page_source
        assert "\u202e" not in browser.page_source
    assert r"</td><script>alert(1)</script>\x1b[31m\u202e" in browser.find_element(By.TAG_NAME, "body").text


def test_all_of_it_can_be_read_without_javascript(site: str) -> None:
    with started(**{"profile.managed_default_content_settings.javascript": 2}) as driver:
        driver.get("data:text/html,<p id=x>off</p><script>x.textContent='on'</script>")
        assert driver.find_element(By.ID, "x").text == "off"
        driver.get(site + VERSION)
        driver.find_element(By.TAG_NAME, "summary").send_keys(Keys.ENTER)
        text = driver.find_element(By.TAG_NAME, "main").text
        assert all(word in text for word in ("What changed", "upgraded", "web.qcow2", "lib42", "Largest folders"))
