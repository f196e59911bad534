"""Cells are explained, edits give Python's numbers, each softmax shows both sums."""

import math

import numpy as np
import pytest

from mindref.study.tracing import TrainingPair
from tests.study.page.page_pair import array, make_page_pair, tensors, trace_to_dict

pytestmark = pytest.mark.slow
TERMS = """() => { const box = document.querySelector('.terms-of');
  const list = role => [...box.querySelectorAll(`ul[data-role=${role}] li`)]
    .map(x => Number(x.dataset.term));
  return {rule: box.dataset.rule, total: Number(box.dataset.total), sum: list('sum'),
    above: list('above'), below: list('below'),
    value: Number(document.querySelector('.chosen output').dataset.value)} }"""


def total(listed):
    """Return what the listed terms come to by the rule that is stated."""
    if listed["rule"] == "quotient":
        return math.fsum(listed["above"]) / math.fsum(listed["below"])
    if listed["rule"] == "log":
        return math.log(math.fsum(listed["sum"]))
    return math.fsum(listed["sum"])


def test_the_terms_of_a_cell_give_its_value(shared, trace):
    rng = np.random.default_rng(8)
    floats = [x for x in tensors(trace).values() if x["dtype"] == "float64"]
    made = [x for x in floats if x["recipe"]["op"] != "input"]
    rules = {}
    for number in range(200):
        tensor = made[number % len(made)]
        at = int(rng.integers(math.prod(tensor["shape"])))
        shared.at(step=trace["steps"][0]["id"], cell=f"{tensor['name']}@{at}")
        listed = shared.page.evaluate(TERMS)
        where = f"{tensor['name']} at {at}"
        rules[listed["rule"]] = rules.get(listed["rule"], 0) + 1
        if listed["rule"] != "value":
            assert total(listed) == pytest.approx(listed["value"], rel=1e-12, abs=1e-12), where
        if math.isfinite(listed["value"]):
            assert listed["total"] == pytest.approx(listed["value"], rel=1e-12, abs=1e-12), where
    assert rules["sum"] > 100
    assert rules["quotient"] > 5


SHOWN = ("w[{r}]", "v", "loss", "d_S", "d_Se", "S.value'", "best")


def compare(page, one, edits, iterations):
    """Hold the edited page against what Python gives for the same change."""
    wanted = trace_to_dict(one)
    expected = tensors(wanted)
    steps = {x["name"]: step["id"] for step in wanted["steps"] for x in step["outputs"]}
    for name in (name.format(r=iterations) for name in SHOWN):
        page.at(step=steps[name], edits=edits)
        cells = page.cells()[name]
        values = array(expected[name])
        assert sorted(cells) == list(range(len(values))), (name, edits)
        got = np.array([float(cells[at][0]) for at in range(len(values))])
        off = np.abs(got - values) / np.maximum(1, np.abs(values))
        assert off.max() <= 1e-12, (name, edits)
        assert page.page.query_selector("#step p.badge"), "edited numbers are marked"


def changed(rng):
    """Return a world with one or two changes, the same changes for the page, and the rounds."""
    base = make_page_pair()
    params, batch, catalogue, config = base
    histories, edits = batch.histories, []
    kinds = rng.choice(["logit", "drop", "r", "K", "S"], size=rng.integers(1, 3), replace=False)
    for kind in kinds:
        if kind == "logit":
            at, value = int(rng.integers(histories.init_logits.size)), float(rng.normal())
            logits = histories.init_logits.copy()
            logits.reshape(-1)[at] = value
            histories = histories._replace(init_logits=logits)
            edits.append(f"set:b[1]:{at}:{value!r}")
        elif kind == "drop":
            i = int(rng.integers(histories.mask.size))
            mask = histories.mask.copy()
            mask[0, i] = False
            histories = histories._replace(mask=mask)
            edits.append(f"drop:{i}")
        elif kind == "r":
            iterations = int(rng.choice([1, 2, 4, 5, 7]))
            config = make_page_pair(iterations=iterations).config
            edits.append(f"r:{iterations}")
        elif kind == "S":
            scale = float(rng.choice([0.1, 0.5, 1.7, 2.0, 4.0]))
            params = params._replace(bilinear=params.bilinear * scale)
            edits.append(f"S:{scale!r}")
    if "K" in kinds:  # last, as it changes the shape of the logits
        fewer = int(rng.integers(1, config.interests))
        config = make_page_pair(iterations=config.iterations, interests=fewer).config
        flat = [e for e in edits if not e.startswith("set")]
        edits = [f"K:{fewer}", *flat]
        logits = base.batch.histories.init_logits[..., :fewer]
        histories = histories._replace(init_logits=logits)
    batch = batch._replace(histories=histories)
    return TrainingPair(params, batch, catalogue, config), ";".join(edits), config.iterations


@pytest.mark.parametrize("seed", range(20))
def test_edited_numbers_equal_those_of_python(shared, seed):
    one, edits, iterations = changed(np.random.default_rng(seed))
    compare(shared, one, edits, iterations)


def test_a_constant_cell_keeps_other_cells_computed(shared):
    step = "routing[2].weights"
    shared.at(step=step, edits="S:2;K:3")
    alone = shared.cells()["w[2]"]
    shared.at(step=step, edits="S:2;K:3;set:w[2]:5:0.5")
    both = shared.cells()["w[2]"]
    assert both.pop(5)[0] == "0.5"
    alone.pop(5)
    assert {at: full for at, (full, _) in both.items()} == {at: x for at, (x, _) in alone.items()}
    shared.at(step="routing.logits", edits="K:6;set:b[1]:52:9")
    assert shared.cells()["b[1]"][52][0] == "9"


def test_the_editor_shows_edits_and_the_number_of_interests(shared):
    shared.at(step="ids", edits="r:5")
    assert shared.page.query_selector("#step .badge") is None, "ids do not depend on r"
    shared.at(step="ids", edits="K:2")
    shared.open_details()
    assert "number of interests, K′\t3\t2" in shared.page.inner_text("#editor .summary")


def test_reset_restores_the_recorded_bytes(shared):
    shared.at(step="loss.value")
    before = shared.cells()
    shared.at(step="loss.value", edits="set:b[1]:3:0.25;r:5;S:2")
    assert shared.cells() != before
    shared.open_details()
    shared.page.click("#reset")
    assert shared.cells() == before
    assert shared.page.query_selector("#step .badge") is None


def test_an_edit_in_the_panel_is_marked_and_updates_the_gradient(opened, file):
    page = opened(file, "#step=routing.logits&cell=b[1]@5&ask=0")
    before = page.page.get_attribute("#inspector .gradient", "data-closed")
    page.open_details()
    page.page.fill("#editor input[type=number] >> nth=0", "1.5")
    page.page.press("#editor input[type=number] >> nth=0", "Enter")
    assert page.page.get_attribute("body", "data-edited") == "true"
    assert page.cells()["b[1]"][5][0] == "1.5"
    after = page.page.get_attribute("#inspector .gradient", "data-closed")
    assert after != before, "a gradient of recorded numbers would be stale"
    page.at(cell="d_b[1]@5", edits="set:b[1]:5:1.5")
    assert after == page.page.get_attribute(".chosen output", "data-value")
    assert "Effect of the edits" in page.page.inner_text("#editor")


def test_every_softmax_has_both_sums(shared, trace):
    seen = 0
    for step in trace["steps"]:
        tables = [x for x in step["outputs"] if x["recipe"]["op"] == "softmax"]
        if not tables:
            continue
        shared.at(step=step["id"])
        for tensor in tables:
            figure = f"#step figure[data-tensor='{tensor['name']}']"
            off = shared.page.get_attribute(f"{figure} .sums [data-off]", "data-off")
            assert float(off) <= 1e-12
            said = shared.page.inner_text(f"{figure} .sums")
            assert "must be 1" in said
            if len(tensor["shape"]) == 2:
                assert "Sum over interests: must be 1 for every film" in said
                assert "Sum over films: need not be 1" in said
                sums = array(tensor).reshape(tensor["shape"]).sum(axis=0)
                shown_sums = shared.page.eval_on_selector_all(
                    f"{figure} tfoot td[data-sum]", "all => all.map(x => Number(x.dataset.sum))"
                )
                assert np.allclose(shown_sums, sums, rtol=1e-14, atol=0)
            seen += 1
    assert seen == 4
