"""A headless Chromium for the tests of the pages."""
import contextlib
import os
import shutil
import tempfile
import time

from conftest import PATIENCE
from selenium import webdriver
from selenium.common.exceptions import (ElementClickInterceptedException, ElementNotInteractableException, NoAlertPresentException,
                                        NoSuchElementException, StaleElementReferenceException)
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By


class Browser:
    def __init__(self, driver):
        self.driver = driver

    def open(self, url):
        self.driver.get(url)

    def text(self, element_id):
        """Read in one step: the page may replace anything between two."""
        return self.run("const e = document.getElementById(arguments[0]);"
                        "return e && e.checkVisibility() ? e.innerText.trim() : ''", element_id)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def click(self, selector):
        """Brings the element into view, without the page's smooth scrolling, and clicks it once it can be."""
        def try_it():
            element = self.find(selector)
            self.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
            element.click()
            return True
        self.wait(f"{selector}, to be clicked", try_it)

    def alert(self, seconds=10):
        """What the page asks, when it does so; None: it does not."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                return self.driver.switch_to.alert
            except NoAlertPresentException:
                time.sleep(0.05)
        return None

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    @staticmethod
    def look(condition):
        """condition(), or None when the page replaced what it was looking at, or has something before it."""
        try:
            return condition()
        except (NoSuchElementException, StaleElementReferenceException, ElementClickInterceptedException,
                ElementNotInteractableException):
            return None

    def wait(self, what, condition, seconds=PATIENCE):
        """Waits until condition() is true; the failure shows what the page said last."""
        end = time.monotonic() + seconds
        while True:
            value = self.look(condition)
            if value:
                return value
            assert time.monotonic() < end, f"never saw: {what}\n{self.run('return document.body.innerText')}"
            time.sleep(0.1)

    def move_slider(self, element_id, value):
        """As a person's drag does: an input event with the new value."""
        self.run("const e = document.getElementById(arguments[0]); e.value = arguments[1];"
                 "e.dispatchEvent(new Event('input', {bubbles: true}));", element_id, value)

    def forget(self):
        """No cookie of any server is left."""
        self.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})

    def console_errors(self):
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def resize(self, width, height):
        self.driver.set_window_size(width, height)

    def set_dark(self, dark):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})

    def screenshot(self, path):
        self.driver.save_screenshot(str(path))


@contextlib.contextmanager
def open_browser():
    profile = tempfile.mkdtemp(prefix="inaetics-browser-")
    options = Options()
    options.binary_location = shutil.which("chromium") or "/usr/bin/chromium"
    for argument in ("--headless=new", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
                     "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
                     "--window-size=1280,900", f"--user-data-dir={profile}"):
        options.add_argument(argument)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # Chromium refuses its sandbox to root
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(service=Service(shutil.which("chromedriver") or "/usr/bin/chromedriver"), options=options)
    try:
        yield Browser(driver)
    finally:
        driver.quit()
        shutil.rmtree(profile, ignore_errors=True)
