"""The overview of models with other settings: it computes and describes what the model computes."""

import json

import numpy as np
import pytest

from mindref.study.models.study_model import open_built_in_model
from mindref.study.overview_users import make_overview, select_users
from mindref.study.page import write_page
from mindref.study.traced_user import trace_user
from tests.study.page.page_pair import array, tensors
from tests.study.page.test_overview import SHOWN
from tests.study.pairs import change_settings

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
