"""Views other than the steps: they show the numbers of Python."""

import re

import numpy as np
import pytest

from mindref.study.number_texts import format_tiny
from tests.assertions import nonempty
from tests.study.page.page_pair import array, tensors

pytestmark = pytest.mark.slow


@pytest.fixture
def page(opened, rich):
    opened_page = opened(rich, "#ask=0", viewport={"width": 1440, "height": 900})
    yield opened_page
    assert opened_page.errors == []


def numbers(page, selector, attribute):
    script = "(all, name) => all.map(x => Number(x.getAttribute(name)))"
    values = page.page.eval_on_selector_all(selector, script, attribute)
    return values


def test_every_variant_differs_and_lists_its_violations(page, derived):
    assert len(derived["variants"]) >= 8
    for case in derived["variants"]:
        page.at(view="variants", variant=case["name"])
        assert page.page.get_attribute("#tab article", "data-variant") == case["name"]
        sides = []
        for side, name in (("reference", "reference"), ("variant", "variant")):
            box = f"#tab [data-side={side}]"
            outcome = case[name] or derived["reference"]
            values = array(outcome["w"])
            cells = numbers(page, f"{box} td[data-index]", "data-value")
            places = [int(x) for x in numbers(page, f"{box} td[data-index]", "data-index")]
            assert cells == [float(values[at]) for at in places], case["name"]
            sides.append((cells, page.page.inner_text(box)))
        text = page.page.inner_text("#tab")
        if case["differs"]:
            measured = any(x["reference"] != x["variant"] for x in case["measured"])
            assert sides[0] != sides[1] or measured, case["name"]
        else:
            assert case["no_difference_text"] in text
        alarms = page.page.eval_on_selector_all(
            "#tab [data-violation]", "all => all.map(x => [x.dataset.violation, x.dataset.text])"
        )
        assert sorted(alarms) == sorted([a["step"], a["text"]] for a in case["violations"])
        assert all(f"{x['repository']} at commit {x['commit']}" in text for x in case["seen"])
    assert page.errors == []


def test_a_step_leads_to_its_variants(page, trace):
    step = next(s for s in trace["steps"] if s["kind"] == "routing.weights")
    page.at(step=step["id"])
    page.page.click(f"#step .sources button >> text={step['variants'][0]}")
    assert page.page.get_attribute("#tab article", "data-variant") == step["variants"][0]


def test_every_ambiguity_lists_its_readings_and_that_of_mindref(page, derived):
    page.at(view="ambiguities")
    for card in nonempty(derived["ambiguities"]):
        text = page.page.inner_text(f"#tab [data-card='{card['name']}']")
        assert card["question"] in text
        assert card["summary"] in text
        for reading in card["readings"]:
            value = reading["results"][0]["value"]
            cells = page.page.eval_on_selector_all(
                f"#tab [data-card='{card['name']}'] tbody tr:first-child td",
                "all => all.map(x => x.textContent)",
            )
            first = format_tiny(float(value[0] if isinstance(value, list) else value))
            assert first in ", ".join(cells).split(", "), "the digits of the summary"
        assert all(reading["name"] in text for reading in card["readings"])
        assert text.count("reading of mindref") == 1


def test_retrieval_shows_each_interest_and_the_single_vector(page, derived):
    page.at(view="retrieval")
    text = page.page.inner_text("#tab")
    case = derived["case"]
    for strip in (*case["lists"], case["single"]):
        assert strip["name"] in text
        assert strip["items"][0]["title"] in text
    assert f"is {case['rank']}" in text


def test_replay_draws_new_logits_and_steps_through_iterations(page):
    page.at(view="replay")
    page.page.click("text=Draw new logits")
    page.page.click("text=Draw new logits")
    assert "draw 2" in page.page.inner_text("#tab")
    page.page.focus("#tab input[type=range]")
    page.page.keyboard.press("ArrowLeft")
    assert "iterations 1 to 2" in page.page.inner_text("#tab")
    assert page.page.inner_text("#tab tbody tr >> nth=0").count("·") == 4


def test_replay_marks_recorded_numbers_under_an_edit(page):
    page.at(view="replay")
    assert page.page.query_selector("#tab .badge") is None
    page.at(view="replay", edits="r:5")
    badge = page.page.query_selector("#tab .badge + .scroll")
    assert "Comparison with controls" in badge.inner_text()
    assert "without your edits" in page.page.inner_text("#tab .badge")


def test_a_phone_shows_one_iteration_of_the_replay(opened, rich):
    page = opened(rich, "#ask=0&view=replay", viewport={"width": 400, "height": 800}).page
    fits = "x => x.scrollWidth <= x.clientWidth"
    assert page.eval_on_selector("#tab .framed", fits)
    for iteration in (2, 1):
        page.focus("#tab input[type=range]")
        page.keyboard.press("ArrowLeft")
        heads = page.eval_on_selector_all(
            "#tab .replay th.group[colspan]",
            "all => all.filter(x => x.checkVisibility()).map(x => x.textContent)",
        )
        assert heads == [f"iteration {iteration}"]


def test_retrieval_marks_seen_films_and_numbers_five_unseen_films(page, derived):
    page.at(view="retrieval")
    cards = page.page.query_selector_all("#tab .card")
    for card, strip in zip(cards, derived["case"]["lists"], strict=False):
        numbered = card.query_selector_all("li:not(.seen)")
        assert len(numbered) == len(strip["items"]) == 5
        assert len(card.query_selector_all("li.seen")) == len(strip["seen"])
        assert all(item["group"] in card.inner_text() for item in strip["items"])
        scores = card.query_selector_all(".figure")
        values = [float(x.inner_text().replace("−", "-")) for x in scores]
        assert values == sorted(values, reverse=True)
    page.at(view="variants")
    shown = page.page.eval_on_selector_all(
        "#tab [data-side=reference] .ranking li", "all => all.map(x => x.textContent)"
    )
    seen = [item["seen"] for item in derived["reference"]["top"]]
    assert [text.count("seen") for text in shown] == [int(x) for x in seen]


def test_no_view_has_an_empty_paragraph_nan_or_more_than_five_digits(page, derived):
    places = [{"view": view} for view in ("replay", "retrieval", "ambiguities")]
    places += [{"view": "variants", "variant": case["name"]} for case in derived["variants"]]
    for place in nonempty(places):
        page.at(**place)
        paragraphs = page.page.eval_on_selector_all("#tab p", "all => all.map(x => x.textContent)")
        assert all(re.search(r"\w", text) for text in paragraphs), place
        text = page.page.inner_text("#tab")
        assert not re.search(r"NaN|Infinity", text), place
        digits = (re.sub(r"^0+|[.]", "", x) for x in re.findall(r"\d+\.\d+", text))
        assert max((len(x.lstrip("0")) for x in digits), default=0) <= 5, place


def test_squash_shows_the_lengths_of_every_active_interest(page, trace):
    named = tensors(trace)
    for iteration in (1, 2, 3):
        page.at(step=f"routing[{iteration}].capsules")
        cells = numbers(page, "#step .length-bars [data-number]", "data-number")
        z, u = (array(named[f"{x}[{iteration}]"]).reshape(-1, 16) for x in "zu")
        active = array(named["active"])
        lengths = np.stack([np.linalg.norm(x, axis=1) for x in (z, u)], axis=1)[active]
        np.testing.assert_allclose(np.reshape(cells, (-1, 2)), lengths, rtol=1e-12)
        np.testing.assert_allclose(lengths[:, 1], 1 - 1 / (1 + lengths[:, 0] ** 2), rtol=1e-12)
        assert len(page.page.query_selector_all("#step .length-mark")) == active.sum()
        text = page.page.inner_text("#step .lengths > p")
        assert f"{lengths[:, 1].min():#.4g}" in text
        assert "differ most in" in text
        folded = "#step details:has(figure[data-tensor^=across])"
        assert not page.page.evaluate(f"document.querySelector('{folded}').open")


def test_a_view_without_data_names_the_command(opened, file):
    page = opened(file, "#ask=0")
    for view in ("retrieval", "variants", "ambiguities"):
        page.at(view=view)
        assert "mindref study --html" in page.page.inner_text("#tab"), view


def test_the_inspector_lists_uses_in_the_same_step(page):
    page.at(step="routing[1].capsules")
    page.open_details()
    page.page.click("#step figure[data-tensor='across[1]'] td[data-index]")
    used = page.page.inner_text("#inspector .next")
    assert "in the same step, for u[1]" in used
    assert "no step of" not in used


@pytest.mark.parametrize("view", ["variants", "retrieval", "ambiguities"])
def test_views_of_recorded_numbers_are_marked(page, view):
    page.at(view=view)
    assert page.page.query_selector("#tab > .badge") is None
    page.at(view=view, edits="S:2;drop:1")
    assert "without your edits" in page.page.inner_text("#tab > .badge")
    gone = page.page.query_selector("#tab table") is None
    assert gone == (view in ("curve")), "recorded gradients are hidden"
