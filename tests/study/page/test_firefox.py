"""The page in Firefox: it starts without errors and requests, and computes as in Chromium."""

import pytest

from mindref.study.page.html_file import VIEWS
from tests import firefox as firefox_module

firefox = firefox_module.firefox
pytestmark = pytest.mark.slow

READY = "return document.body.dataset.ready ?? document.querySelector('#selfcheck.fails')?.id"
REQUESTS = "return performance.getEntriesByType('resource').map(entry => entry.name)"
HASH = "location.hash = arguments[0]; return new Promise(done => setTimeout(done))"


def open_page(driver, path, address=""):
    """Open the page and wait until its scripts have drawn it."""
    from marionette_driver import Wait

    driver.navigate("about:blank")
    driver.navigate(path.as_uri() + address)
    Wait(driver, timeout=20).until(lambda _: driver.execute_script(READY))


def test_the_self_check_passes_without_a_request(firefox, rich):
    open_page(firefox, rich)
    assert firefox.execute_script("return document.documentElement.dataset.selfcheck") == "pass"
    assert firefox.execute_script(REQUESTS) == []


def test_a_damaged_page_is_found(firefox, rich, tmp_path):
    text = rich.read_text()
    start = text.index('id="arrays">') + 2_000
    damaged = tmp_path / "damaged.html"
    damaged.write_text(text[:start] + ("A" if text[start] != "A" else "B") + text[start + 1 :])
    open_page(firefox, damaged)
    assert firefox.execute_script("return document.documentElement.dataset.selfcheck") == "fail"


def test_every_view_is_drawn(firefox, rich):
    open_page(firefox, rich)
    drawn = {}
    for view in VIEWS:
        firefox.execute_script(HASH, [f"view={view}&ask=0"])
        main = "[...document.querySelectorAll('main')].find(main => main.checkVisibility())"
        drawn[view] = firefox.execute_script(f"return {main}.innerText.length")
    assert all(length > 100 for length in drawn.values()), drawn


def test_an_edit_gives_the_numbers_of_chromium(firefox, opened, rich):
    address = "#step=routing[2].weights&ask=0&edits=r:5;S:1.5"
    cells = """[...document.querySelectorAll('#step .results td[data-index]')]
        .map(cell => Number(cell.dataset.value))"""
    open_page(firefox, rich, address)
    in_firefox = firefox.execute_script(f"return {cells}")
    in_chromium = opened(rich, address).page.evaluate(cells)
    assert in_chromium
    assert in_firefox == pytest.approx(in_chromium, rel=1e-12, abs=1e-15)


PLAY = """document.querySelector('#picture-play').click();
  return new Promise(done => { const wait = () => setTimeout(() => {
    const label = document.querySelector('#tab .controls output').textContent;
    /iteration 8/.test(label) ? done(label) : wait() }, 50); wait() })"""
SLIDE = """const slider = document.querySelector('#picture-position'); slider.value = 2;
  slider.dispatchEvent(new Event('input'));
  return [...document.querySelectorAll('#tab [data-weights]')].map(x => x.dataset.weights)"""


def test_play_and_a_slider_work_on_the_default_file(firefox, opened, default_file):
    address = "#view=overview&picture=0/5"
    open_page(firefox, default_file, address)
    assert firefox.execute_script("return document.documentElement.dataset.selfcheck") == "pass"
    assert "iteration 8" in firefox.execute_script(PLAY)
    in_firefox = firefox.execute_script(SLIDE)
    in_chromium = opened(default_file, address).page.evaluate(f"() => {{ {SLIDE} }}")
    assert in_chromium
    for ours, theirs in zip(in_firefox, in_chromium, strict=True):
        weights = [[float(x) for x in text.split()] for text in (ours, theirs)]
        assert weights[0] == pytest.approx(weights[1], rel=1e-9, abs=1e-12)
