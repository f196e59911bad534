"""mind_plus in JAX agrees with the reference at levels 2 and 3, and so does pooled_softmax.

Compilation takes most of the time, so each setting is combined with one loss. `.ci/run` uses fast
compilation here, and the usual compilation for the presets (test_presets.py).
"""

from __future__ import annotations

import jax
import numpy as np
import pytest
from tests.backends.exported_towers import GIVEN_NUMBERS
from tests.backends.families import (
    ITEM_VOTES,
    WITH_LAYERS,
    MindPlus,
)
from tests.models.worlds import plus_world

from mindref.config import Config
from mindref.models.mind_plus import ages
from mindref.models.parameters import flatten
from mindref.presets import PRESETS
from mindref_jax import init, loss
from mindref_jax.backend import JaxBackend
from mindref_jax.level_train import take_step
from mindref_jax.mind_plus import look_up_log_weights
from mindref_jax.sampled_softmax import sampled_softmax


class TestMindPlus(MindPlus):
    name, backend = "jax", JaxBackend


@pytest.mark.rules("mind_plus-R14", "backend-R15")
def test_a_training_with_dropout_compiles_its_step_only_a_few_times() -> None:
    backend, w = JaxBackend(), plus_world(3, (4, 40, 4, 5), keep=True, **ITEM_VOTES)
    state, before = backend.init(w.params, w.config), take_step._cache_size()
    for length in range(29, 41):
        mask = np.arange(40) < [[length], [3], [0], [9]]
        items = np.where(mask, np.arange(40) % 6, 0)
        step_world = w.with_shared(histories=w.histories._replace(mask=mask, items=items))
        state, _ = backend.step(state, step_world.batch, w.catalogue, w.config, 1e-3)
    assert take_step._cache_size() - before <= 2  # of 12 batches with 12 lengths


@pytest.mark.rules("mind_plus-R5")
def test_a_behaviour_that_is_too_old_has_no_number_while_jax_traces() -> None:
    mask = np.array([[True, False, True, True], [False, True, False, True]])
    log_weights = look_up_log_weights(jax.numpy.array([[1.0], [2.0]]), mask)[:, :, 0]
    expected = [[np.nan, 2, 2, 1], [2, 2, 1, 1]]
    np.testing.assert_array_equal(np.where(mask, log_weights, 0), np.where(mask, expected, 0))


@pytest.mark.rules("sampled_softmax-R18")
@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_a_log_that_is_not_finite_makes_the_loss_nan_while_jax_traces(value: float) -> None:
    rows, ids, zeros = jax.numpy.ones((3, 2)), jax.numpy.arange(3), jax.numpy.zeros(3)
    logs = zeros.at[1].set(value)
    assert np.isnan(jax.jit(sampled_softmax)(rows, rows, rows, ids, ids + 3, zeros, logs))


@pytest.mark.rules(
    "mind_plus-R2", "mind_plus-R8", "mind_plus-R11", "mind_plus-R20", "mind_plus-R23"
)
@pytest.mark.parametrize("changes", [{}, {"votes": "items", "head": "none", "contexts": 0}])
def test_new_parameters_have_the_shapes_of_the_reference(changes: dict[str, object]) -> None:
    config = Config.of("recommended", {"width": 8, "profile_width": 2, **changes})
    settings = {**PRESETS["recommended"], **GIVEN_NUMBERS, "hidden": config.hidden, **changes}
    w = plus_world(0, (4, 17, 4, 8), **settings)
    params = init(jax.random.key(0), config, w.sizes)
    assert {name: x.shape for name, x in params.items()} == {
        name: x.shape for name, x in flatten(w.params).items()
    }
    np.testing.assert_array_equal(params["positions"], ages.start(config))
    base = init(jax.random.key(0), Config.of("mind", {"width": 8, "profile_width": 2}), w.sizes)
    np.testing.assert_array_equal(params["items"], base["items"])
    if not changes:
        np.testing.assert_array_equal(params["bilinear"], np.eye(8))
        assert not params["layers.1.weight"].any()


@pytest.mark.rules("mind_plus-R14")
def test_the_library_accepts_batches_of_both_families() -> None:
    w = plus_world(3, keep=True, **{**WITH_LAYERS, "dtype": "float32"})
    params = flatten(w.params)
    with_dropout, without = (
        float(loss(params, batch, w.catalogue, w.config)) for batch in (w.batch, w.shared)
    )
    assert with_dropout == pytest.approx(w.loss()[0], rel=1e-5)
    assert abs(with_dropout - without) > 1e-2
