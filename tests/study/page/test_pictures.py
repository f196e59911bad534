"""Routing in eight pictures: every number is that of the trace; keys, buttons, print, phones."""

import json
import re
from typing import Any

import numpy as np
import pytest

from mindref.study.models.study_model import open_built_in_model
from mindref.study.page import write_page
from mindref.study.traced_user import trace_user
from tests.study.page.page_pair import TITLES, array, make_page_pair, tensors, trace_to_dict

pytestmark = pytest.mark.slow
NAMES = ["films", "vectors", "first guess", "weights", "sum", "squash", "agreement", "again"]


@pytest.fixture(scope="module")
def trace():
    """The most separated user of the built-in model; nine films change their interest."""
    traced = trace_user(open_built_in_model(), "most-separated")
    content: dict[str, Any] = json.loads(traced.trace.to_json())
    return content


@pytest.fixture(scope="module")
def file(tmp_path_factory, trace):
    path = tmp_path_factory.mktemp("pictures") / "study.html"
    write_page([trace], path)
    return path


@pytest.fixture
def page(opened, file):
    opened_page = opened(file, "#ask=0&view=pictures", viewport={"width": 1440, "height": 900})
    yield opened_page
    assert opened_page.errors == []


@pytest.fixture(scope="module")
def values(trace):
    return {name: array(x).reshape(x["shape"]) for name, x in tensors(trace).items()}


def number(page, k):
    """Return the number to look at of a picture, and its text."""
    text = page.page.inner_text(f"#picture-{k} .look").replace("\u2212", "-")
    value, _, meaning = text.partition(" ")
    return float(value), meaning


def hero(values):
    """Return the film with the clearest move in iteration 2, and the interest it moves to."""
    first, second = values["w[1]"], values["w[2]"]
    moved = [i for i in range(len(first)) if first[i].argmax() != second[i].argmax()]
    assert moved, "the user of the test has such a film"
    film = max(moved, key=lambda i: second[i].max() - first[i][second[i].argmax()])
    return film, int(second[film].argmax())


def test_there_are_eight_pictures_with_one_number_each(page):
    titles = page.page.eval_on_selector_all("#tab .picture h3", "all => all.map(x => x.innerText)")
    assert titles == [f"{k}. {name.capitalize()}" for k, name in enumerate(NAMES, start=1)]
    assert len(page.page.query_selector_all("#tab .picture .look b")) == 8
    for svg in page.page.query_selector_all("#tab .picture svg"):
        label = svg.get_attribute("aria-label")
        assert re.match(r"Picture \d, [a-z ]+\. \S+: \w", label)
        assert svg.get_attribute("role") == "img"


def test_the_numbers_to_look_at_are_those_of_the_trace(page, values, trace):
    film, k = hero(values)
    title = trace["labels"]["behaviour"][film]
    votes, z, u = values["Se"], values["z[1]"], values["u[1]"]
    unit = votes / np.linalg.norm(votes, axis=1, keepdims=True)
    names = trace["labels"]["behaviour"]
    cosines = [
        unit[i] @ unit[j] for i in range(len(votes)) for j in range(i) if names[i] != names[j]
    ]
    moved = sum(values["w[1]"].argmax(axis=1) != values["w[2]"].argmax(axis=1))
    wanted = [
        values["active"].sum(), max(cosines), values["b[1]"][film, k], values["w[1]"][film, k],
        np.linalg.norm(z[k]), np.linalg.norm(u[k]), values["a[1]"][film, k], moved,
    ]  # fmt: skip
    shown = [number(page, picture) for picture in range(1, 9)]
    assert [value for value, _ in shown] == pytest.approx(wanted, abs=0.0051)
    for picture in (3, 4, 7):
        assert title in shown[picture - 1][1]
        assert f"interest {k + 1}" in shown[picture - 1][1]
    assert f"{values['b[2]'][film, k]:.2f}" in shown[6][1]


def test_the_tables_have_the_numbers_of_the_pictures(page, values):
    page.open_details()
    for picture, name in ((3, "b[1]"), (4, "w[1]"), (7, "a[1]")):
        cells = page.page.eval_on_selector_all(
            f"#picture-{picture} tbody td", "all => all.map(x => x.innerText)"
        )
        shown = [float(x.replace("\u2212", "-")) for x in cells]
        assert shown == pytest.approx(values[name].ravel(), abs=0.0051)


def test_the_bars_of_a_film_are_its_weights(page, values):
    widths = page.page.eval_on_selector_all(
        "#picture-4 svg rect[height='15']", "all => all.map(x => Number(x.getAttribute('width')))"
    )
    widths = np.array(widths).reshape(-1, 4) + 1
    assert widths / widths.sum(axis=1, keepdims=True) == pytest.approx(values["w[1]"], abs=0.005)


def test_all_pictures_follow_one_film(page, values, trace):
    film, k = hero(values)
    title = trace["labels"]["behaviour"][film]
    assert f"bold arrow is {values['w[1]'][film, k]:.2f} times the vote of {title}." in (
        page.page.inner_text("#picture-5")
    )
    names = page.page.eval_on_selector_all(
        "#tab .picture svg text.hero", "all => all.map(x => [x.closest('section').id, x.innerHTML])"
    )
    for picture in (3, 4, 5, 7, 8):
        assert title in [name for place, name in names if place == f"picture-{picture}"]


def test_the_bold_arrow_of_the_sum_is_the_vote_of_the_film(page, values):
    film, k = hero(values)
    lines = page.page.eval_on_selector_all(
        "#picture-5 .arrow:is(.bold, .total) line",
        "all => all.map(x => ['x1', 'y1', 'x2', 'y2'].map(n => Number(x.getAttribute(n))))",
    )
    first, total = np.array(lines)
    assert first[:2] == pytest.approx(total[:2]), "the first arrow begins at 0"
    votes = values["Se"]
    _, _, axes = np.linalg.svd(votes - votes.mean(axis=0), full_matrices=False)
    vote, z = (np.linalg.norm(axes[:2] @ x) for x in (values["w[1]"][film, k] * votes[film],
                                                       values["z[1]"][k]))  # fmt: skip
    drawn = [np.hypot(*(x[2:] - x[:2])) for x in (first, total)]
    assert drawn[0] / drawn[1] == pytest.approx(vote / z, rel=0.01)


def test_texts_name_the_signs_of_the_drawings(page):
    assert "Numbers are rounded." in page.page.inner_text("#tab .why")
    assert "an empty circle a negative logit" in page.page.inner_text("#picture-3")
    assert "If z has the length n," in page.page.inner_text("#picture-6")
    marks = page.page.eval_on_selector_all("#picture-8 .moved-mark", "all => all.length")
    assert marks > 0
    assert "A triangle \u25b8 marks a film" in page.page.inner_text("#picture-8")


def test_films_are_in_the_order_of_the_overview(opened, default_file):
    reader = opened(default_file, "#view=overview&picture=0/0")  # the traced user
    order = reader.page.eval_on_selector_all(
        "#tab .bars tbody th bdi", "all => all.map(x => x.title)"
    )
    reader.at(view="pictures")
    reader.open_details()
    positions = reader.page.eval_on_selector_all(
        "#picture-1 tbody tr", "all => all.map(x => Number(x.cells[0].innerText))"
    )
    assert sorted(positions) == list(range(1, len(order) + 1))
    assert positions != sorted(positions), "the films of a genre are together"
    for picture in (3, 4, 7, 8):
        names = reader.page.eval_on_selector_all(
            f"#picture-{picture} tbody tr", "all => all.map(x => x.cells[0].innerText)"
        )
        assert names == order


def test_the_last_picture_has_the_changes_of_the_trace(page, trace):
    text = page.page.inner_text("#picture-8")
    changes = [s["change"] for s in trace["steps"] if s["kind"] == "routing.weights"]
    assert len(changes) == 3
    assert all(f"Iteration {t}: {changes[t - 1]}" in text for t in (2, 3))
    page.page.click("#tab >> text=All 58 steps")
    assert page.step() == "ids"


def test_keys_and_buttons_step_through_the_pictures(page):
    current = ".picture-list [aria-current]"
    for key, wanted in (("ArrowRight", 2), ("n", 3), ("ArrowLeft", 2), ("End", 8), ("Home", 1)):
        page.page.keyboard.press(key)
        assert page.page.inner_text(current).startswith(f"{wanted} ")
        assert page.page.evaluate("document.activeElement.id") == f"picture-{wanted}"
    page.page.click(".picture-list button >> text=6 squash")
    assert page.page.evaluate("document.activeElement.id") == "picture-6"
    page.page.click(".picture-list [aria-label='next picture']")
    assert page.page.evaluate("document.activeElement.id") == "picture-7"
    assert "view=pictures" in page.page.url, "the keys do not leave the pictures"


def test_a_picture_leads_to_its_step(page):
    page.page.click("#picture-6 button.link")
    assert page.step() == "routing[1].capsules"


def test_letters_are_readable_on_a_phone(opened, file):
    page = opened(file, "#ask=0&view=pictures", viewport={"width": 400, "height": 800}).page
    smallest = """all => Math.min(...all.map(x => parseFloat(getComputedStyle(x).fontSize)
        * x.ownerSVGElement.getScreenCTM().a))"""
    assert page.eval_on_selector_all("#tab .picture svg text", smallest) >= 11
    outside = """all => all.filter(x => { const a = x.getBoundingClientRect(),
        b = x.ownerSVGElement.getBoundingClientRect();
        return a.left < b.left - 1 || a.right > b.right + 1 }).map(x => x.textContent)"""
    assert page.eval_on_selector_all("#tab .picture svg text", outside) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


@pytest.mark.parametrize("changes", [{"length": 0, "pads": 2}, {"iterations": 1}, {"length": 1}])
def test_other_users_have_pictures_or_a_sentence(opened, changes):
    page = opened([trace_to_dict(make_page_pair(**changes), TITLES)], "#ask=0&view=pictures")
    assert page.errors == []
    if changes.get("length") == 0:
        assert "no films" in page.page.inner_text("#tab")
    else:
        assert len(page.page.query_selector_all("#tab .picture svg")) == 8
        assert "NaN" not in page.page.inner_html("#tab")


def test_a_history_of_one_repeated_film_has_a_length(opened):
    pair = make_page_pair(length=4)
    histories = pair.batch.histories
    repeated = histories._replace(items=np.full_like(histories.items, 3))
    pair = pair._replace(batch=pair.batch._replace(histories=repeated))
    trace = trace_to_dict(pair, TITLES)
    page = opened([trace], "#ask=0&view=pictures")
    assert page.errors == []
    value, meaning = number(page, 2)
    assert meaning == f"is the length of the vote of {TITLES[3]}"
    votes = tensors(trace)["Se"]
    vote = array(votes).reshape(votes["shape"])[0]
    assert value == pytest.approx(np.linalg.norm(vote), abs=0.0051)


def column_titles(page):
    return page.page.eval_on_selector_all(
        "#picture-8 svg text",
        "all => all.map(x => x.textContent).filter(x => /^iteration/.test(x))",
    )


@pytest.mark.parametrize(("iterations", "shown"), [(4, [1, 2, 3, 4]), (6, [1, 2, 6]),
                                                   (12, [1, 2, 12])])  # fmt: skip
def test_the_last_picture_states_which_iterations_it_shows(opened, iterations, shown):
    page = opened(
        [trace_to_dict(make_page_pair(iterations=iterations), TITLES)], "#ask=0&view=pictures"
    )
    assert column_titles(page) == [f"iteration {t}" for t in shown]
    text = page.page.inner_text("#picture-8")
    part = f"The picture shows iterations 1, 2 and {iterations}."
    assert (part in text) == (len(shown) < iterations)
    assert [int(t) for t in re.findall(r"^Iteration (\d+): ", text, re.MULTILINE)] == [
        t for t in shown if t - 1 in shown
    ]


FILLS = """selector => [...document.querySelectorAll(selector)].map(
    x => getComputedStyle(x).fill)"""


@pytest.mark.parametrize("width", [400, 1400])
def test_ten_interests_have_colours_and_a_legend_inside(opened, width):
    pair = make_page_pair(interests=10, interest_count="fixed")
    page = opened(
        [trace_to_dict(pair, TITLES)], "#ask=0&view=pictures",
        viewport={"width": width, "height": 800},
    )  # fmt: skip
    for selector in ("#picture-4 rect", "#picture-3 circle:not(.negative)", "#picture-6 circle"):
        fills = page.page.evaluate(FILLS, selector)
        assert len(set(fills)) == 8
        assert "rgb(0, 0, 0)" not in fills
    outside = """() => [...document.querySelectorAll('#tab .picture svg :is(text, rect)')].filter(
        x => { const a = x.getBoundingClientRect(), b = x.ownerSVGElement.getBoundingClientRect();
        return a.left < b.left - 1 || a.right > b.right + 1 || a.bottom > b.bottom + 1
        }).map(x => x.closest('section').id + x.textContent)"""
    assert page.page.evaluate(outside) == []
    note = "There are 8 colours: interest 9 has the colour of interest 1"
    assert note in page.page.inner_text("#tab")
    page.at(view="overview")
    assert note in page.page.inner_text("#tab")
