"""YouTube DNN: the mean and its weights. test_families.py has what families share."""

import re

import numpy as np
import pytest

from mindref.config import Config
from mindref.conformance.tolerances import VANISHING
from mindref.models import parameters, youtube_dnn
from mindref.models.mind_plus.ages import recency
from mindref.models.parameters import Sizes, flatten
from mindref.ops import routing
from tests import spec_pages
from tests.assertions import assert_close
from tests.models.worlds import youtube_world


@pytest.mark.rules("youtube_dnn-R3")
def test_recency_counts_the_behaviours_that_follow():
    mask = np.array([[1, 0, 1, 1, 0], [0, 0, 0, 0, 0], [0, 1, 0, 0, 1]], bool)
    assert recency(mask).tolist() == [2, 1, 0, 1, 0]


WITHOUT_EFFECT = {
    "interests": 5, "iterations": 1, "sigma": 3.0, "logits": "per_call", "interest_count": "fixed",
    "routing": "uniform", "routing_axis": "behaviours", "routing_gradient": "all",
    "squash": "none", "attention": "mean", "power": 0.0,
}  # fmt: skip
"""Each setting that the page lists, with another value than that of the world."""


@pytest.mark.rules("youtube_dnn-R7")
def test_the_target_is_no_query_and_the_settings_of_the_loss_count():
    w = youtube_world(0, (3, 9, 5))
    expected = w.loss()[0]
    text = spec_pages.text("youtube_dnn").partition("change no byte in this model: ")[2]
    assert set(re.findall(r"`(\w+)`", text)) == set(WITHOUT_EFFECT)
    for name, value in WITHOUT_EFFECT.items():
        assert getattr(w.config, name) != value
        assert youtube_world(0, (3, 9, 5), **{name: value}).loss()[0] == expected, name
    for changes in ({"temperature": 0.5}, {"normalise": True}):
        assert youtube_world(0, (3, 9, 5), **changes).loss()[0] != expected, changes


@pytest.mark.rules("youtube_dnn-R11")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tables_and_layers_start_as_those_of_mind(dtype):
    config = Config.of("mind", {"dtype": dtype, "hidden": [30], "width": 8})
    sizes = Sizes(20, 25, 7, 2)
    params = flatten(youtube_dnn.init(np.random.default_rng(3), config, sizes))
    expected = flatten(parameters.init(np.random.default_rng(3), config, sizes))
    for name in set(expected) - {"bilinear"}:
        assert params[name].tobytes() == expected[name].tobytes(), name
    assert {x.dtype for x in params.values()} == {np.dtype(dtype)}


@pytest.mark.rules("youtube_dnn-R12")
def test_log_weights_start_at_zero_and_exist_only_on_request():
    for kind, columns in (("none", 0), ("shared", 1)):
        config = Config.of("mind", {"model": "youtube_dnn", "window": 6, "recency": kind})
        params = youtube_dnn.init(np.random.default_rng(3), config, Sizes(20, 20, 0, 0))
        assert params.positions.shape == (columns, 6)
        assert not params.positions.any()


@pytest.mark.rules("youtube_dnn-R9")
def test_the_gradients_of_the_log_weights_sum_to_zero():
    gradient = youtube_world(0, (3, 9, 5)).gradients().positions
    assert np.abs(gradient).max() > 1e-3
    assert abs(gradient.sum()) < 1e-14


@pytest.mark.rules("youtube_dnn-R1", "routing-R23")
def test_one_interest_of_mind_is_not_the_mean():
    """The derivation of the page paper: with S = I, the capsule is squash(n m) for the mean m."""
    rng, mask = np.random.default_rng(0), np.arange(7) < np.array([[7], [3], [1]])
    history = rng.standard_normal((3, 7, 5)) * mask[..., None]
    mean, _ = youtube_dnn.pool_behaviours(np.zeros((0, 7)), history, mask)
    lengths = mask.sum(axis=1)[:, None]
    arrays = history, mask, np.eye(5), rng.standard_normal((3, 7, 1)), np.ones((3, 1), bool)
    options = {"iterations": 3, "gradient": "last"}
    capsules, unsquashed = (
        routing.forward(*arrays, **options, kind=kind)[0][:, 0] for kind in ("squash", "none")
    )
    assert (np.linalg.norm(capsules, axis=1) < 1).all()
    assert_close(unsquashed, lengths * mean, atol=VANISHING)
    log_weights = np.broadcast_to(-np.log(lengths)[..., None], (3, 7, 1)).copy()
    weighted = routing.forward(*arrays, log_weights, **options, kind="none")[0][:, 0]
    assert_close(weighted, mean, atol=VANISHING)
