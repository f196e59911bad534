"""Folded tables, the data flow, the texts of later iterations, and questions with reasons."""

import pytest

from tests.assertions import nonempty
from tests.study.page.page_pair import make_page_pair, trace_to_dict

pytestmark = pytest.mark.slow
VISIBLE = """() => [...document.querySelectorAll('#step td[data-index]')]
  .filter(x => x.checkVisibility()).length"""


@pytest.fixture(scope="module")
def padded():
    return trace_to_dict(make_page_pair(length=14, pads=6, window=20))


def before_softmax(trace):
    ids = [step["id"] for step in trace["steps"]]
    return ids[: ids.index("routing[1].weights")]


def test_fewer_than_300_numbers_are_visible_before_the_first_softmax(opened, padded):
    page = opened([padded], "#ask=0")
    seen = total = 0
    for step in before_softmax(padded):
        page.at(step=step)
        seen += page.page.evaluate(VISIBLE)
        total += page.page.eval_on_selector_all("#step .results td[data-index]", "x => x.length")
    assert total > 1000
    assert 100 < seen < 300


def test_a_fold_says_what_it_has_and_opens(opened, padded):
    page = opened([padded], "#ask=0&step=routing.votes")
    folds = page.page.eval_on_selector_all(".fold summary", "all => all.map(x => x.innerText)")
    assert folds[0] == "11 more films, 6 rows of padding"
    assert folds[1].startswith("S, width \u00d7 width, 16 \u00d7 16: matrix S")
    page.page.click(".fold summary >> nth=0")
    assert page.page.evaluate(VISIBLE) == 20 * 16
    page.at(step="routing[1].sums")
    assert page.page.inner_text(".fold summary") == "1 inactive interest"


def test_a_link_to_a_folded_number_opens_its_fold(opened, padded):
    page = opened([padded], "#ask=0&step=routing.votes&cell=Se@319")
    assert page.page.is_visible("#step td[aria-selected=true]")
    page.at(step="routing.votes", cell="S@5")
    assert page.page.is_visible("#step td[aria-selected=true]")


def test_every_step_is_one_place_of_the_data_flow(shared, trace):
    places = []
    for step in trace["steps"]:
        shared.at(step=step["id"])
        current = shared.page.query_selector_all("#flow a[data-current]")
        assert len(current) == 1, step["id"]
        assert step["id"] in current[0].get_attribute("data-steps").split()
        places.append(current[0].get_attribute("data-node"))
    nodes = shared.page.query_selector_all("#flow a")
    assert {x.get_attribute("data-node") for x in nodes} == set(places), "each node has a step"


def test_a_node_of_the_data_flow_leads_to_its_step(shared):
    shared.at(step="routing[2].weights")
    shared.page.click("#flow a >> text=u")
    assert shared.step() == "routing[2].capsules", "the current iteration"
    assert shared.page.text_content("#flow .iteration") == "iteration 2/3"
    shared.page.keyboard.press("ArrowLeft")
    shared.page.keyboard.press("Enter")
    assert shared.step() == "routing[2].sums"


def test_the_data_flow_has_the_shapes_without_padding(opened, padded):
    page = opened([padded], "#ask=0")
    texts = page.page.eval_on_selector_all("#flow a", "all => all.map(x => x.ariaLabel)")
    starts = [text.partition(":")[0] for text in texts]
    assert {"e, 14 \u00d7 16", "w, 14 \u00d7 3", "z, 3 \u00d7 16", "v, 3 \u00d7 16"} <= set(starts)


def test_a_later_iteration_shows_its_change_after_the_answer(opened, file, trace):
    step = next(s for s in trace["steps"] if s["id"] == "routing[2].weights")
    page = opened(file, "#step=routing[2].weights")
    assert step["change"] not in page.text(), "the change would answer the question"
    page.page.click("text=Skip and show the numbers")
    assert step["change"] in page.text()
    assert step["why"] not in page.text()
    page.page.click("#step .note button")
    assert page.step() == "routing[1].weights"


def test_the_change_of_an_edited_trace_is_hidden(shared, trace):
    step = next(s for s in trace["steps"] if s["id"] == "routing[3].sums")
    shared.at(step=step["id"])
    assert step["change"] in shared.text()
    shared.at(step=step["id"], edits="S:2")
    assert step["change"] not in shared.text()
    assert step["why"] in shared.text()


def test_both_answers_are_followed_by_the_numbers_that_decide(opened, file, trace):
    for step in nonempty(s for s in trace["steps"] if s["question"]):
        question = step["question"]
        for choice in range(len(question["choices"])):
            page = opened(file, f"#step={step['id']}")
            page.page.check(f".predict input[value='{choice}']")
            page.page.click("text=Answer")
            assert question["because"] in page.page.inner_text(".predict .because")


def test_no_axis_is_called_behaviour(shared, trace):
    for step in nonempty(trace["steps"]):
        shared.at(step=step["id"])
        assert "behaviour" not in shared.page.inner_text("#step .results"), step["id"]
