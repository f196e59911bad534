"""Levels 2 and 3 of YouTube DNN, fused, agree with the reference."""

import dataclasses

import numpy as np
import pytest

import mindref
from mindref.errors import ShapeError
from mindref.kernels.backend import NumbaBackend
from mindref.kernels.fused.layers import BLOCK_USERS
from mindref.models.parameters import catalogue_of_ids, flatten
from mindref.run.checkpoint import load_best
from mindref.training.divergence import Diverged
from tests.backends.families import (
    assert_near,
    check_fused_world,
    large_mean_world,
    level_results,
    train_three_steps,
)
from tests.kernels.cases import first_users, with_negatives
from tests.models.worlds import LOSS_OPTIONS, youtube_world
from tests.runs import trained

MODEL = {"model": "youtube_dnn", "dtype": "float32"}
RECENCY = pytest.mark.parametrize("recency", [False, True], ids=["mean", "recency"])
TWO_BLOCKS = (BLOCK_USERS + 2, 17, 6)


def fused_world(axes=TWO_BLOCKS, **settings):
    return youtube_world(3, axes, **{**MODEL, **settings})


FORWARD_AND_BACKWARD = pytest.mark.rules(
    "youtube_dnn-R1", "youtube_dnn-R2", "youtube_dnn-R3", "youtube_dnn-R4", "youtube_dnn-R5",
    "youtube_dnn-R6", "youtube_dnn-R7", "youtube_dnn-R8", "youtube_dnn-R9", "backend-R19",
)  # fmt: skip


@FORWARD_AND_BACKWARD
@RECENCY
@pytest.mark.parametrize(
    "options",
    [*LOSS_OPTIONS[:-1], pytest.param(LOSS_OPTIONS[-1], marks=pytest.mark.slow)],  # compiles
    ids=str,
)
def test_each_option(options, recency):
    w = fused_world(recency=recency, **options)
    lengths = w.histories.mask.sum(axis=1)
    assert (lengths.min(), lengths.max()) == (0, w.histories.mask.shape[1])
    check_fused_world(w, f"{options} {recency}")


@FORWARD_AND_BACKWARD
@RECENCY
@pytest.mark.parametrize("hidden", [[], [9], [11, 8]], ids=str)
@pytest.mark.slow
def test_each_option_in_float64_with_several_layers(hidden, recency):
    for options in LOSS_OPTIONS:
        w = fused_world(recency=recency, hidden=hidden, **{**options, "dtype": "float64"})
        check_fused_world(w, f"{options} {hidden} {recency}")


@FORWARD_AND_BACKWARD
@RECENCY
def test_several_blocks_of_users_and_items(recency):
    check_fused_world(large_mean_world(recency=recency))


@pytest.mark.rules("youtube_dnn-R3", "youtube_dnn-R4", "youtube_dnn-R6")
@RECENCY
def test_empty_histories_and_padding_at_any_position(recency):
    gaps = np.random.default_rng(0).random((4, 17)) < 0.5
    for mask in (np.zeros((4, 17), bool), gaps):
        check_fused_world(fused_world((4, 17, 6), mask=mask, recency=recency))


@pytest.mark.rules("youtube_dnn-R4", "youtube_dnn-R5")
def test_users_without_a_profile_and_items_without_features():
    w = fused_world()
    layers = (w.params.layers[0]._replace(weight=w.params.layers[0].weight[:6]),)
    params = w.params._replace(profile=w.params.profile[:0], layers=layers + w.params.layers[1:])
    profile = w.histories.profile[:, :0]
    w = w._replace(params=params, catalogue=catalogue_of_ids(6, "float32"))
    check_fused_world(w.with_histories(profile=profile))


@pytest.mark.rules("youtube_dnn-R7")
@pytest.mark.parametrize("ids", [[], [2], [2, 2, 2], "targets", [*range(6)]], ids=str)
def test_negatives_of_every_loss(ids):
    """No negatives, repeated ones, the targets of the batch, and the whole catalogue."""
    w = fused_world()
    check_fused_world(with_negatives(w, [*w.shared.target] if ids == "targets" else ids), str(ids))


@pytest.mark.rules("youtube_dnn-R7")
def test_settings_of_routing_and_initial_logits_change_no_byte():
    w = first_users(fused_world(), 9)
    expected = level_results(w, NumbaBackend(1))
    changes = {
        "interests": 5, "iterations": 3, "routing_axis": "interests", "routing_gradient": "all",
        "squash": "unit", "interest_count": "fixed", "attention": "mean", "power": 2.0,
    }  # fmt: skip
    for name, x in changes.items():
        assert level_results(w.with_config(**{name: x}), NumbaBackend(1)) == expected, name
    logits = np.full((*w.histories.mask.shape, 3), np.nan, "float32")
    for x in (logits, logits[..., :0]):
        assert level_results(w.with_histories(init_logits=x), NumbaBackend(1)) == expected


@pytest.mark.rules("youtube_dnn-R7")
def test_the_target_is_no_query_even_if_its_score_overflows():
    w = fused_world(normalise=True)
    w = w.with_params(items=w.params.items * np.float32(1e25))
    loss, _ = NumbaBackend().loss_and_gradients(w.params, w.batch, w.catalogue, w.config)
    assert_near(np.asarray(loss), np.asarray(w.loss()[0]), "loss")


@pytest.mark.rules("youtube_dnn-R10", "model-R18")
def test_invalid_inputs_raise():
    w = fused_world((4, 17, 6), mask=np.ones((4, 17), bool))
    positions, ids, target = w.params.positions, w.histories.items.copy(), w.shared.target.copy()
    ids[1, 3], target[2] = 6, -1
    for bad, message in (
        (w.with_params(positions=positions[:, :16]), "positions: rows: .* 0 to 15, got 16"),
        (w.with_histories(items=ids), "items: rows: expected indices from 0 to 5, got 6"),
        (w.with_shared(target=target), "items: rows: expected indices from 0 to 5, got -1"),
        (
            w.with_params(positions=np.zeros((2, 17), "float32")),
            r"expected 1 rows, got .*\(2, 17\)",
        ),
        (w.with_params(positions=positions.astype(np.float64)), "youtube_dnn: expected one dtype"),
    ):
        with pytest.raises(ShapeError, match=message):
            NumbaBackend().loss_and_gradients(bad.params, bad.batch, bad.catalogue, bad.config)


@pytest.mark.rules("youtube_dnn-R10")
def test_without_log_weights_a_history_has_any_length():
    w = fused_world((4, 17, 6), mask=np.ones((4, 17), bool), recency=False)
    check_fused_world(w.with_params(positions=w.params.positions[:, :5]))


@pytest.mark.rules("optimiser-R14")
def test_a_log_weight_that_is_not_finite_ends_the_training():
    w = fused_world()
    w.params.positions[0, 2] = np.nan
    with pytest.raises(Diverged):
        train_three_steps(w, NumbaBackend())


@pytest.mark.rules("youtube_dnn-R6", "youtube_dnn-R7", "backend-R19")
@pytest.mark.parametrize("changes", [{}, {"loss": "full"}, {"sampler": "in_batch"}], ids=str)
def test_training_and_serving_agree_with_the_backend_numpy(changes, tmp_path):
    settings = {"model": "youtube_dnn", "recency": "shared", "epsilon": 0.1, **changes}
    numba, numpy = (
        trained(tmp_path / name, backend=name, **settings) for name in ("numba", "numpy")
    )
    expected = flatten(load_best(numpy)[0])
    for name, x in flatten(load_best(numba)[0]).items():
        assert_near(x, expected[name], name)
    histories = [[], mindref.load(numba).served.items.ids[:3]]
    by_numba, by_numpy = (mindref.load(run).interests(histories) for run in (numba, numpy))
    assert_near(by_numba.vectors, by_numpy.vectors, "vectors")
    assert by_numba.active.tolist() == [[True], [True]]


@pytest.mark.rules("backend-R12")
def test_results_share_no_memory_with_the_parameters():
    w, backend = fused_world(), NumbaBackend()
    before = {name: x.tobytes() for name, x in flatten(w.params).items()}
    arguments = (w.batch, w.catalogue, dataclasses.replace(w.config, epsilon=0.1))
    _, gradients = backend.loss_and_gradients(w.params, *arguments)
    first = gradients.positions.copy()
    state = backend.init(w.params, w.config)
    for _ in range(2):
        state, _ = backend.step(state, *arguments, 0.05)
    np.testing.assert_array_equal(gradients.positions, first)
    assert {name: x.tobytes() for name, x in flatten(w.params).items()} == before
