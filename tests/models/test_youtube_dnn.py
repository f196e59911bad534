"""YouTube DNN: the mean and its weights. test_families.py has what families share."""

import numpy as np
import pytest

from mindref.config import Config
from mindref.models import parameters, youtube_dnn
from mindref.models.mind_plus.ages import recency
from mindref.models.parameters import Sizes, flatten
from tests.models.worlds import youtube_world


@pytest.mark.rules("youtube_dnn-R3")
def test_recency_counts_the_behaviours_that_follow():
    mask = np.array([[1, 0, 1, 1, 0], [0, 0, 0, 0, 0], [0, 1, 0, 0, 1]], bool)
    assert recency(mask).tolist() == [2, 1, 0, 1, 0]


@pytest.mark.rules("youtube_dnn-R7")
def test_the_target_is_no_query_and_the_settings_of_the_loss_count():
    expected = youtube_world(0, (3, 9, 5)).loss()[0]
    for changes in ({"power": 0.0}, {"attention": "mean"}, {"iterations": 1}, {"squash": "none"}):
        assert youtube_world(0, (3, 9, 5), **changes).loss()[0] == expected, changes
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
