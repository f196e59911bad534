"""The page of every kind of model: it recomputes all arrays, and no step or view fails."""

import numpy as np
import pytest

from tests.study.page.page_pair import make_page_pair, trace_to_dict
from tests.study.pairs import VARIED, make_random_pair

pytestmark = pytest.mark.slow

NAMES = (
    "normalised", "temperature", "softmax over behaviours", "one round", "one interest",
    "all interests", "uniform", "unit", "no squash", "all rectified", "three layers",
    "mean of interests", "odd power",
)  # fmt: skip
DEFAULT = {"power": float("inf"), "routing_gradient": "last", "iterations": 6}
MODELS = {"as trained by default": DEFAULT} | {name: VARIED[name] for name in NAMES}
EDITS = "set:e:3:0.5;drop:1;S:2;K:2;r:4"


@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_model_is_recomputed(opened, name):
    page = opened([trace_to_dict(make_page_pair(**MODELS[name]))], "#ask=0")
    assert page.selfcheck() == "pass"
    assert float(page.page.get_attribute("#selfcheck", "data-largest")) < 1e-12
    for place, every in (({}, 4), ({"edits": EDITS}, 9)):
        for step in page.steps()[::every]:
            page.at(step=step, cell="S@3", **place)
        for view in ("overview", "replay", "exercises"):
            page.at(view=view, **place)
    assert page.errors == []


def test_edited_numbers_have_no_recorded_invariants(opened):
    page = opened([trace_to_dict(make_page_pair())], "#ask=0&step=routing[2].capsules")
    assert ": holds" in page.page.inner_text("#step .invariants")
    page.at(step="routing[2].capsules", edits="S:2")
    assert page.page.query_selector("#step .invariants") is None


def test_a_profile_keeps_its_shape_under_edits(opened):
    page = opened([trace_to_dict(make_random_pair(3))], "#ask=0&step=interests.d_join")
    assert page.selfcheck() == "pass"
    before = page.page.inner_text("#step figure[data-tensor=d_p] .shape")
    page.at(step="interests.d_join", edits="S:2")
    assert page.page.inner_text("#step figure[data-tensor=d_p] .shape") == before
    assert page.errors == []


def test_a_user_without_behaviours_has_a_page(opened):
    pair = make_page_pair()
    histories = pair.batch.histories
    padding = histories._replace(mask=np.zeros_like(histories.mask))
    empty = pair._replace(batch=pair.batch._replace(histories=padding))
    page = opened([trace_to_dict(empty)], "#ask=0")
    assert page.selfcheck() == "pass"
    for step in page.steps()[::3]:
        page.at(step=step)
    for view in ("overview", "replay"):
        page.at(view=view)
    assert page.errors == []


def test_choosing_another_user_keeps_the_step(opened):
    two = [trace_to_dict(make_page_pair(seed), user=f"u{seed}") for seed in (1, 2)]
    page = opened(two, "#ask=0&step=routing[2].weights&edits=S:2")
    before = page.cells()
    page.page.select_option("#user", "1")
    assert page.step() == "routing[2].weights"
    assert page.cells() != before
    assert page.page.inner_text("#about").startswith("Model: drawn, not trained. User u2,")
    assert page.page.query_selector("#step .badge") is None, "edits belong to one user"
    assert "user=1" in page.page.url
