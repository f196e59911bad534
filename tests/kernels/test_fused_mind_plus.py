"""Levels 2 and 3 of mind_plus, fused, agree with the reference."""

import dataclasses
from itertools import product

import numpy as np
import pytest

from mindref.errors import BackendError
from mindref.kernels.backend import NumbaBackend
from mindref.kernels.fused.layers import BLOCK_USERS
from mindref.kernels.fused.pooled_block import SUB_BLOCK_ROWS
from mindref.models.family import backend_computes
from mindref.models.parameters import catalogue_of_ids
from tests.backends.families import (
    ITEM_VOTES,
    LOSSES,
    POOLED,
    WITH_LAYERS,
    assert_bad_product_ends_training,
    assert_invalid_inputs_raise,
    check_fused_world,
    large_plus_world,
)
from tests.kernels.cases import with_negatives
from tests.models.worlds import PLUS_OPTIONS, plus_config, plus_world

TWO_BLOCKS = BLOCK_USERS + 2


@pytest.mark.rules(
    "mind_plus-R1", "mind_plus-R3", "mind_plus-R4", "mind_plus-R6", "mind_plus-R7", "mind_plus-R8",
    "mind_plus-R9", "mind_plus-R10", "mind_plus-R11", "mind_plus-R12", "mind_plus-R14",
    "mind_plus-R16", "mind_plus-R17", "mind_plus-R18", "mind_plus-R19",
)  # fmt: skip
@pytest.mark.parametrize("options", PLUS_OPTIONS, ids=str)
@pytest.mark.slow
def test_each_option_with_each_loss(options):
    """In float64: with long capsules, float32 has too few digits."""
    for loss, keep in product(LOSSES, (False, True)):
        settings = {"dtype": "float64", **loss, **options}
        w = plus_world(3, (TWO_BLOCKS, 17, 4, 6), keep=keep, **settings)
        check_fused_world(w, f"{settings} {keep}")


@pytest.mark.rules(
    "mind_plus-R1", "mind_plus-R3", "mind_plus-R4", "mind_plus-R6", "mind_plus-R8", "mind_plus-R9",
    "mind_plus-R11", "mind_plus-R14", "mind_plus-R17", "mind_plus-R18", "mind_plus-R19",
    "pooled_softmax-R1", "pooled_softmax-R10", "pooled_softmax-R11", "pooled_softmax-R14",
    "pooled_softmax-R15", "pooled_softmax-R16", "backend-R19",
)  # fmt: skip
@pytest.mark.parametrize(
    "settings", [WITH_LAYERS, {**ITEM_VOTES, "dropout": 0.5}], ids=["layers", "item votes"]
)
def test_the_settings_of_the_presets_with_several_blocks(settings):
    check_fused_world(large_plus_world(dtype="float32", **settings))


@pytest.mark.rules("pooled_softmax-R7", "pooled_softmax-R8", "pooled_softmax-R13")
@pytest.mark.parametrize("ids", [[], [2], [2, 2, 2], "target", [*range(6)] * 3], ids=str)
def test_no_negatives_and_repeated_negatives_and_accidental_hits(ids):
    w = plus_world(3, **WITH_LAYERS, dtype="float32")
    target = int(w.shared.target[0])
    check_fused_world(with_negatives(w, [target] if ids == "target" else ids), str(ids))


@pytest.mark.rules("pooled_softmax-R4", "mind_plus-R12")
@pytest.mark.parametrize("settings", [WITH_LAYERS, ITEM_VOTES], ids=["layers", "item votes"])
def test_users_without_behaviours_and_with_one_active_interest(settings):
    for mask in (np.zeros((4, 17), bool), None):
        check_fused_world(plus_world(3, mask=mask, dtype="float32", **settings))
    check_fused_world(plus_world(3, dtype="float32", **{**WITH_LAYERS, "interest_count": "log2"}))


@pytest.mark.rules("pooled_softmax-R9")
@pytest.mark.parametrize("interests", [3, SUB_BLOCK_ROWS // 2])
@pytest.mark.slow
def test_sub_blocks_of_any_size(interests):
    """With so many interests, a sub-block has two users."""
    check_fused_world(plus_world(3, (9, 5, interests, 4), dtype="float64", **WITH_LAYERS))


@pytest.mark.rules("pooled_softmax-R25", "optimiser-R14")
def test_a_product_that_is_not_finite_ends_the_training():
    assert_bad_product_ends_training(NumbaBackend())


@pytest.mark.rules("pooled_softmax-R25")
def test_a_product_of_minus_infinity_has_probability_zero_but_the_loss_is_nan():
    w = plus_world(3, mask=np.arange(17) < [[1]] * 4, dtype="float32", **WITH_LAYERS)
    target = int(w.shared.target[0])
    w = w.with_shared(target=np.full(4, target))
    w = with_negatives(w._replace(catalogue=catalogue_of_ids(6, "float32")), [(target + 1) % 6])
    users, active, _ = w.interests()
    items = w.params.items.copy()
    items[(target + 1) % 6] = -3e38 * np.sign(users[active].sum(axis=0))
    w = w.with_params(items=items)
    loss, _ = NumbaBackend().loss_and_gradients(w.params, w.batch, w.catalogue, w.config)
    assert np.isnan(loss)


@pytest.mark.rules("mind_plus-R5")
def test_invalid_inputs_raise():
    assert_invalid_inputs_raise(NumbaBackend())


@pytest.mark.rules("backend-R19", "backend-R20")
@pytest.mark.parametrize(
    "settings",
    [{"sharpness": 2.0, **POOLED}, {"routing_gradient": "all", "iterations": 2}],
    ids=str,
)
def test_other_settings_are_composed_of_the_compiled_operators(settings):
    backend, config = NumbaBackend(), plus_config(**settings)
    fused = dataclasses.replace(config, sharpness=1.0, iterations=1)
    for level in ("model", "train"):
        assert not backend_computes(backend, config, level)
        assert backend_computes(backend, fused, level)
    w = plus_world(3, **settings)
    with pytest.raises(BackendError, match="config: expected settings for which computes_family"):
        backend.loss_and_gradients(w.params, w.batch, w.catalogue, w.config)
