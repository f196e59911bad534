"""The overview of models with other settings: its numbers and texts are those of the model."""

import json

import numpy as np
import pytest

from mindref.study.models.study_model import open_built_in_model
from mindref.study.overview_users import make_overview, select_users
from mindref.study.page import write_page
from mindref.study.traced_user import trace_user
from tests.study.page.page_pair import array, make_page_pair, tensors, trace_to_dict
from tests.study.page.test_overview import SHOWN
from tests.study.pairs import VARIED, change_settings

pytestmark = pytest.mark.slow
MODEL = open_built_in_model()


@pytest.fixture
def opened_model(opened, tmp_path):
    """Open the overview of a user of the built-in model with other settings: (page, trace)."""

    def open_(rule="median", *, groups=True, place="", **settings):
        model = change_settings(MODEL, **settings)
        model = model if groups else model._replace(groups=None)
        trace = json.loads(trace_user(model, rule).trace.to_json())
        users = make_overview(model, select_users(model, [rule]))
        number = next(k for k, user in enumerate(users) if user["trace"] == 0)
        write_page([trace], tmp_path / "model.html", derived=[{"overview": users}])
        address = f"#ask=0&view=overview&picture={number}/{place or 1}"
        reader = opened(tmp_path / "model.html", address, reduced_motion="reduce")
        assert reader.errors == []
        return reader, trace

    return open_


SETTINGS = {
    "uniform": {"routing": "uniform"},
    "sigma 0": {"sigma": 0.0},
    "softmax over films": {"routing_axis": "behaviours"},
    "fixed": {"interest_count": "fixed"},
    "no squash": {"squash": "none"},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_weights_equal_the_trace(opened_model, name):
    reader, trace = opened_model(**SETTINGS[name])
    recorded = tensors(trace)
    films, active = (int(array(recorded[x]).sum()) for x in ("mask", "active"))
    w = recorded["w[1]"]
    weights = array(w).reshape(w["shape"])[:films, :active]
    assert np.abs(np.array(reader.page.evaluate(SHOWN)["weights"]) - weights).max() <= 1e-12


@pytest.mark.parametrize("name", ["uniform", "sigma 0"])
def test_equal_weights_have_no_largest_interest(opened_model, name):
    reader, _ = opened_model(**SETTINGS[name])
    assert reader.page.is_disabled("#picture-sigma")
    caption = reader.page.inner_text("#tab figcaption")
    assert caption.startswith("Iteration 1: all weights are equal, so no interest has the largest")
    reason = "routing of this model is uniform" if name == "uniform" else "Sigma is 0"
    assert reason in caption
    note = reader.page.inner_text("#tab .overview-side > p.note")
    assert ("uniform" in note) == (name == "uniform")
    assert "sigma has no effect" in note
    reader.page.keyboard.press("Home")
    caption = reader.page.inner_text("#tab figcaption")
    assert "All weights are 0.33." in caption
    assert "random" not in caption


def test_a_weak_separation_does_not_conclude_that_one_vector_is_not_enough(opened_model):
    reader, _ = opened_model(place="1/1", sigma=0.0)
    text = reader.page.inner_text("#picture-single")
    assert "One vector is not enough" not in text
    assert "All interests are equal: sigma is 0" in text
    reader, _ = opened_model("most-separated", place="1/1")
    assert "One vector is not enough for several tastes." in reader.page.inner_text(
        "#picture-single"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [("uniform", "uniform routing does not separate"), ("sigma 0", "sigma is 0, and with equal")],
)
def test_equal_interests_have_the_reason_of_the_setting(opened_model, name, text):
    reader, trace = opened_model(**SETTINGS[name])
    notes = reader.page.inner_text("#tab .notes")
    assert f"All interests are equal: {text}" in notes
    last = trace["metadata"]["config"]["iterations"] if name == "sigma 0" else 1
    reader.page.fill("#picture-position", str(last))
    notes = reader.page.inner_text("#tab .notes")
    assert "genre" not in notes
    assert "interest 1" not in reader.page.inner_text("#tab figcaption").lower()
    reader.page.fill("#picture-position", "0")
    notes = reader.page.inner_text("#tab .notes")
    assert "random" not in notes
    assert "no film takes the colour of one interest" in notes
    reader.at(view="pictures")
    assert reader.page.locator("#picture-8 .moved-mark").count() == 0


TEXTS = {
    "plain": [],
    "uniform": [(3, "all logits are 0"), (7, "Uniform routing has one iteration"),
                (8, "Uniform routing has one iteration, so nothing is computed again")],
    "logits of zero": [(3, "Sigma of this model is 0"), (8, "0 of 10 films change")],
    "softmax over behaviours": [(4, "A softmax over the films"), (4, "each interest divides")],
    "all interests": [(1, "4 interests are active: this model has 4 for every history")],
    "one interest": [(1, "1 interest is active: log2 of 10 films"), (3, "are random.\n")],
    "one behaviour": [(1, "The history has 1 film."), (8, "0 of 1 film change")],
    "one round": [(7, "This model has one iteration"), (8, "nothing is computed again")],
    "no squash": [(6, "This model has no squash")],
    "unit": [(6, "makes its length 1")],
}  # fmt: skip
DEFAULTS = [
    (1, "log2 of 10 films, rounded down, at most 4", {"all interests", "one behaviour",
                                                      "one interest"}),
    (3, "The first logits are random.", {"uniform", "logits of zero"}),
    (3, "With equal logits", {"uniform", "logits of zero", "one interest", "one behaviour"}),
    (4, "A softmax over the interests", {"softmax over behaviours"}),
    (6, "the capsule u has the length n", {"no squash", "unit"}),
    (7, "It is added to the logit", {"uniform", "one round"}),
    (8, "are computed again. This model stops after iteration 3", {"uniform", "one round"}),
]  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_the_pictures_state_the_settings_of_the_model(opened, name):
    trace = trace_to_dict(make_page_pair(iterations=3) if name == "plain" else varied(name))
    reader = opened([trace], "#ask=0&view=pictures")
    texts = [reader.page.inner_text(f"#picture-{k}") for k in range(1, 9)]
    for k, text in TEXTS[name]:
        assert text in texts[k - 1]
    for k, text, other in DEFAULTS:
        assert (text in texts[k - 1]) == (name not in other), (k, text)
    reader.at(view="overview", picture="0/1")
    page = reader.page.inner_text("#tab")
    assert "genre" not in page, "the file has no groups"
    assert "1 films" not in page
    assert "1 interests" not in page
    over_films = name == "softmax over behaviours"
    assert ("each film divides a weight of 1" in page.lower()) != over_films
    assert ("each interest divides a weight of 1 among the films" in page) == over_films
    assert ("The agreement of vote and capsule" in page) == (name not in ("uniform", "one round"))
    assert ("⌊log₂" in page) == (name not in ("all interests", "one behaviour", "one interest"))
    assert reader.errors == []


def varied(name):
    return make_page_pair(**{"iterations": 3} | VARIED[name])


def test_the_shape_is_the_genre_only_with_groups(opened_model):
    for groups in (True, False):
        reader, _ = opened_model(groups=groups)
        assert ("the shape is the genre" in reader.page.inner_text("#tab")) == groups
