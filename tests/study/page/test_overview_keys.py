"""The overview with the keyboard: iterations, films, and announcements."""

import pytest

from tests.study.page.page_reader import Reader

pytestmark = pytest.mark.slow


def test_keys_move_the_iteration(overview):
    for key, expected in (("ArrowRight", "1"), ("n", "2"), ("End", "8"), ("ArrowLeft", "7"),
                          ("p", "6"), ("Home", "0"), ("ArrowLeft", "0")):  # fmt: skip
        overview.page.keyboard.press(key)
        assert overview.page.input_value("#picture-position") == expected
    assert overview.page.is_visible("#tab svg.picture")


ANNOUNCED = "text => document.getElementById('live').textContent.startsWith(text)"


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_a_key_announces_the_iteration_that_it_shows(opened, default_file, motion):
    page = opened(default_file, "#view=overview&picture=0/0", reduced_motion=motion).page
    for key, start in (("ArrowRight", "Iteration 1:"), ("n", "Iteration 2:"),
                       ("End", "Iteration 8:"), ("Home", "Before iteration 1:")):  # fmt: skip
        page.keyboard.press(key)
        page.wait_for_function(ANNOUNCED, arg=start)
        assert page.inner_text("#live") == page.inner_text("#tab figcaption")


# frames at the start, just before the end (eased by rounding past it), and at the end
FRAMES = """const times = [0, 699.999999, 700];
let frame = 0;
window.requestAnimationFrame = (paint) => setTimeout(() => paint(times[frame++ % 3]));"""


def test_a_frame_just_before_the_end_of_a_movement_does_not_pass_the_last_iteration(
    browser, default_file
):
    with browser.new_context(offline=True, reduced_motion="no-preference") as context:
        context.add_init_script(FRAMES)
        reader = Reader(context.new_page(), default_file, "#view=overview&picture=0/2")
        reader.page.keyboard.press("End")
        reader.page.wait_for_timeout(200)
        assert reader.errors == []
        assert reader.page.inner_text("#live").startswith("Iteration 8:")


def test_films_are_one_stop_of_tab_and_arrows_move_between_them(overview):
    page = overview.page
    assert page.locator("#tab .film[tabindex='0']").count() == 1
    page.focus("#picture-position")
    page.keyboard.press("Tab")
    focus = "document.activeElement.dataset.film"
    assert page.evaluate(focus) == "0"
    assert page.is_visible("#tab .tip")
    names = [page.inner_text("#tab .tip b")]
    for key, film in (("ArrowRight", "1"), ("End", "19"), ("ArrowDown", "0"), ("ArrowUp", "19"),
                      ("Home", "0")):  # fmt: skip
        page.keyboard.press(key)
        assert page.evaluate(focus) == film
        assert overview.page.input_value("#picture-position") == "0", "the key moves no iteration"
        names.append(page.inner_text("#tab .tip b"))
    titles = overview.page.eval_on_selector_all(
        "#tab .film", "all => all.map(x => x.getAttribute('aria-label'))"
    )
    order = [0, 1, 19, 0, 19, 0]
    assert all(titles[film].startswith(name) for film, name in zip(order, names, strict=True))
    page.keyboard.press("Escape")
    assert not page.is_visible("#tab .tip")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.picture')") is None
