"""Widths of bars, positions of discs and marks in the drawings equal those of the trace."""

import re

import numpy as np
import pytest

from tests.study.page.page_pair import array, tensors

pytestmark = pytest.mark.slow

RECTS = """selector => [...document.querySelectorAll(selector)].map(x =>
  ['x', 'y', 'width', 'height'].map(name => Number(x.getAttribute(name))))"""
DISCS = """selector => [...document.querySelectorAll(selector)].map(x =>
  [...['cx', 'cy', 'r'].map(name => Number(x.getAttribute(name))),
   Number(x.classList.contains('negative'))])"""
TEXTS = """selector => [...document.querySelectorAll(selector)].map(x =>
  [x.textContent.replace('\\u2212', '-'), Number(x.getAttribute('x')),
   Number(x.getAttribute('y'))])"""


@pytest.fixture(scope="module")
def values(trace):
    return {name: array(x).reshape(x["shape"]) for name, x in tensors(trace).items()}


@pytest.fixture
def pictures(shared):
    shared.at(view="pictures")
    return shared.page


def lengths(x):
    return np.linalg.norm(x, axis=-1)


def owners(values, iteration):
    return values[f"w[{iteration}]"].argmax(axis=1)


def test_the_bars_of_the_overview_are_the_weights(opened, file, values):
    reader = opened(file, "#view=overview&picture=0/2", reduced_motion="reduce")
    rows = reader.page.eval_on_selector_all(
        "#tab .bars tr[data-film]",
        """all => all.map(row => [Number(row.dataset.film), ...[...row.querySelectorAll('.part')]
           .map(x => x.getBoundingClientRect().width)])""",
    )
    weights = values["w[2]"][:, values["active"] > 0]
    assert len(rows) == len(weights)
    for film, *widths in rows:
        shares = np.array(widths) / sum(widths)
        assert shares == pytest.approx(weights[film], abs=0.01), film


def test_empty_circles_are_negative_logits_and_areas_their_sizes(pictures, values):
    discs = np.array(pictures.evaluate(DISCS, "#picture-3 circle"))
    logits = values["b[1]"][:, values["active"] > 0]
    assert (logits < 0).any()
    assert (discs[:, 3].reshape(logits.shape) > 0).tolist() == (logits < 0).tolist()
    areas = (discs[:, 2] ** 2).reshape(logits.shape)
    wanted = np.abs(logits) / np.abs(logits).max() * areas.max()
    assert areas == pytest.approx(np.maximum(wanted, 1), rel=1e-9)
    assert len(set(discs[:, 0])) == logits.shape[1], "a column for each interest"


def test_the_discs_of_the_curve_are_the_lengths(pictures, values):
    axis = {text: y for text, _, y in pictures.evaluate(TEXTS, "#picture-6 text.end")}
    ticks = {text: x for text, x, _ in pictures.evaluate(TEXTS, "#picture-6 text.middle")}
    unit = (ticks["5"] - ticks["0"]) / 5
    one = axis["0"] - axis["1"]
    active = values["active"] > 0
    discs = np.array(pictures.evaluate(DISCS, "#picture-6 circle[r='5.5']"))
    before, after = (lengths(values[name][active]) for name in ("z[1]", "u[1]"))
    assert (discs[:, 0] - ticks["0"]) / unit == pytest.approx(before, rel=1e-6)
    assert (axis["0"] - 4 - discs[:, 1]) / one == pytest.approx(after, rel=1e-6)


def test_the_bars_of_the_agreement_add_to_the_next_logit(pictures, values):
    rects = np.array(pictures.evaluate(RECTS, "#picture-7 rect")).reshape(-1, 3, 4)
    shown = [float(x) for x, _, _ in pictures.evaluate(TEXTS, "#picture-7 text.value")]
    title = pictures.evaluate(TEXTS, "#picture-7 text.hero")[0][0]
    active = values["active"] > 0
    rows = np.stack([values[name][:, active] for name in ("b[1]", "a[1]", "b[2]")], axis=2)
    film = next(i for i, x in enumerate(rows) if np.abs(x.ravel() - shown).max() <= 0.0051)
    assert title, film
    sizes = np.abs(rows[film])
    assert rects[:, :, 2] == pytest.approx(sizes / sizes.max() * rects[:, :, 2].max(), abs=1.6)
    zero = pictures.evaluate("Number(document.querySelector('#picture-7 .axis')"
                             ".getAttribute('x1'))")  # fmt: skip
    for (b, _, after), bars in zip(rows[film], rects, strict=True):
        for value, (x, _, width, _) in ((b, bars[0]), (after, bars[2])):
            assert (x if value >= 0 else x + width) == pytest.approx(zero, abs=1.6)
        ends = [x + width if value >= 0 else x for value, (x, _, width, _) in
                ((b, bars[0]), (after, bars[2]))]  # fmt: skip
        added = [bars[1][0], bars[1][0] + bars[1][2]]
        assert added == pytest.approx(sorted(ends), abs=1.6)


def test_the_bars_of_the_last_picture_are_the_weights_of_each_iteration(pictures, values):
    rects = [x for x in pictures.evaluate(RECTS, "#picture-8 rect") if x[3] == 15]
    weights = np.stack([values[f"w[{t}]"][:, values["active"] > 0] for t in (1, 2, 3)], axis=1)
    widths = np.array(rects)[:, 2].reshape(weights.shape)
    whole = widths.sum(axis=2, keepdims=True) + weights.shape[2]
    assert np.maximum(0, weights * whole - 1) == pytest.approx(widths, abs=1.5)


def test_triangles_are_at_the_films_that_change_their_interest(pictures, values):
    titles = pictures.evaluate(TEXTS, "#picture-8 text")
    columns = [x for text, x, _ in titles if text.startswith("iteration ")]
    marks = pictures.evaluate(TEXTS, "#picture-8 .moved-mark")
    names = pictures.evaluate(TEXTS, "#picture-8 text.end:not(.moved-mark)")
    rows = np.array([y for _, _, y in names])
    drawn = {
        (int(np.abs(rows - y).argmin()), int(np.abs(np.array(columns) - x).argmin()) + 1)
        for _, x, y in marks
    }
    wanted = {
        (int(i), t) for t in (2, 3)
        for i in np.flatnonzero(owners(values, t) != owners(values, t - 1))
    }  # fmt: skip
    assert len(rows) == len(values["Se"])
    assert 0 < len(wanted) < len(rows)
    assert drawn == wanted
    assert all(text == "\u25b8" for text, _, _ in marks)


@pytest.mark.parametrize("iteration", [1, 2, 3])
def test_the_text_names_the_iteration_whose_lengths_differ_most(shared, values, iteration):
    active = values["active"] > 0
    after = [lengths(values[f"u[{t}]"][active]) for t in (1, 2, 3)]
    widest = int(np.argmax([np.ptp(x) for x in after]))
    shared.at(step=f"routing[{iteration}].capsules")
    text = shared.page.inner_text("#step .lengths > p")
    if widest + 1 == iteration:
        assert "They differ most in this iteration." in text
        return
    number, low, high = re.search(r"most in iteration (\d): (\S+) to (\S+)\.$", text).groups()
    assert int(number) == widest + 1
    assert [float(low), float(high)] == pytest.approx(
        [after[widest].min(), after[widest].max()], rel=1e-3
    )


def test_the_bars_and_discs_of_a_squash_step_are_the_lengths(shared, values):
    shared.at(step="routing[1].capsules")
    active = values["active"] > 0
    before, after = (lengths(values[name][active]) for name in ("z[1]", "u[1]"))
    widths = shared.page.eval_on_selector_all(
        "#step .length-bars .bar", "all => all.map(x => parseFloat(x.style.width))"
    )
    shares = np.reshape(widths, (-1, 2)).T
    assert shares[0] == pytest.approx(100 * before / before.max(), rel=1e-3)
    assert shares[1] == pytest.approx(100 * after / max(1, after.max()), rel=1e-3)
    discs = np.array(shared.page.evaluate(DISCS, "#step .length-mark"))
    for positions, wanted in ((discs[:, 0], before), (-discs[:, 1], after)):
        slope, start = np.polyfit(wanted, positions, 1)
        assert slope > 0
        assert positions == pytest.approx(start + slope * wanted, abs=1e-6)
