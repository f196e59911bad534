"""One browser for all tests of the page; skipped with a reason where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mindref.study.page import write_page
from tests.study.page.reading import Reader
from tests.study.page.world import given, traced


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium of the system, driven by playwright."""
    sync = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    with sync.sync_playwright() as started:
        one = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield one
        one.close()


@pytest.fixture(scope="session")
def trace() -> dict[str, Any]:
    return traced(given())


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory, trace: dict[str, Any]) -> Path:
    """The page of one user, without extras."""
    path = tmp_path_factory.mktemp("page") / "study.html"
    write_page([trace], path)
    return path


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Reader]]:
    """A function that opens a file in a fresh, offline context; all are closed after the test."""
    contexts = []

    def open_(path: Path, place: str = "", **settings: Any) -> Reader:
        context = browser.new_context(offline=True, **settings)
        contexts.append(context)
        return Reader(context.new_page(), path, place)

    yield open_
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def shared(browser: Any, file: Path) -> Iterator[Reader]:
    """The page, opened once for the tests of a module that only read; questions are off."""
    context = browser.new_context(offline=True)
    yield Reader(context.new_page(), file, "#ask=0")
    context.close()
