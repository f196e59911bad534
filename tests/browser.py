"""The browser of the tests that open a page. A conftest.py imports the fixture."""

import shutil

import pytest


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium of the system, driven by playwright. conftest.py deselects without it."""
    sync = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    assert chromium, "no chromium on this machine: apt-get install chromium"
    with sync.sync_playwright() as started:
        chromium_browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield chromium_browser
        chromium_browser.close()
