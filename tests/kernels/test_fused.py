"""Levels 2 and 3, fused: loss, gradients, interests and steps agree with the reference."""

from itertools import product

import numpy as np
import pytest

from mindref.kernels import CACHE_LINE
from mindref.kernels.fused.forward import BLOCK_ITEMS
from mindref.kernels.fused.layers import BLOCK_USERS, layer_rows_forward, users_per_block
from mindref.kernels.fused.user_block import forward_backward_block
from mindref.kernels.fused.workspace import block_slices
from mindref.kernels.routing import TILE_BEHAVIOURS, TILE_USERS
from mindref.models.parameters import Catalogue, Layer, catalogue_of_ids, flatten
from tests.kernels.cases import (
    TYPES,
    agree_with_reference,
    large_world,
    model_calls,
    numba_implementation,
    odd_layout,
    small_world,
    with_negatives,
)
from tests.models.worlds import OPTIONS, world

SINGLE, DOUBLE = {"dtype": "float32"}, {"dtype": "float64"}
TWO_BLOCKS = BLOCK_USERS + 2  # users of two blocks, with two users in the second
GRADIENTS_AND_POWERS = [
    {"routing_gradient": gradient, "power": power}
    for gradient, power in product(("last", "all"), (float("inf"), 2.0, 0.5))
]
SHAPES = [  # users, length, interests, width
    (3, 0, 3, 4),
    (1, 1, 1, 1),
    (3, 4, 1, 1),
    (4, 9, 4, 3),
    (5, 17, 5, 3),  # no multiple of four
    (TWO_BLOCKS, 30, 9, 8),
    (2 * BLOCK_USERS + 1, 6, 2, 2),
    (TILE_USERS + 4, 2 * TILE_BEHAVIOURS // TILE_USERS, 4, 3),  # tiles limited by both
    (2, TILE_BEHAVIOURS + 1, 3, 2),  # one user has more than a tile
]


def check_world(w, case):
    subject = numba_implementation()
    for call in model_calls(w):
        agree_with_reference(call, subject, case)


def test_the_test_data_has_several_blocks_of_users_and_items():
    """The tests below depend on it."""
    assert len(list(block_slices(TWO_BLOCKS, BLOCK_USERS))) == 2
    assert max(users for users, *_ in SHAPES) > 2 * BLOCK_USERS
    w = large_world()
    assert len(list(block_slices(len(w.batch.target), BLOCK_USERS))) == 3
    used = w.batch.histories.items[w.batch.histories.mask]
    assert len(np.unique(used)) > BLOCK_ITEMS


@pytest.mark.rules(
    "model-R1", "model-R4", "model-R5", "model-R6", "model-R9", "model-R11", "model-R12",
    "model-R13", "model-R14", "routing-R12",
)  # fmt: skip
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.slow(every=10)
def test_each_option_with_each_gradient_and_power(options):
    """In float64 but for the default: with long capsules, float32 has too few digits."""
    for changes in GRADIENTS_AND_POWERS:
        settings = {**(DOUBLE if options else SINGLE), **changes, **options}
        w = world(np.random.default_rng(3), (TWO_BLOCKS, 17, 5, 6), **settings)
        check_world(w, str(settings))


@pytest.mark.rules("model-R3", "model-R8", "model-R9", "model-R10", "model-R17")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.slow(every=2)
def test_every_shape(shape):
    for gradient in ("last", "all"):
        w = world(np.random.default_rng(1), shape, **SINGLE, routing_gradient=gradient)
        check_world(w, gradient)


@pytest.mark.rules("sampled_softmax-R3", "sampled_softmax-R4", "sampled_softmax-R10")
@pytest.mark.parametrize("ids", [[], [2], [2, 2, 2], "target", [*range(6)] * 3], ids=str)
def test_no_negatives_and_repeated_negatives_and_accidental_hits(ids):
    w = small_world()
    check_world(with_negatives(w, [int(w.batch.target[0])] if ids == "target" else ids), str(ids))


@pytest.mark.rules("sampled_softmax-R4", "sampled_softmax-R11")
@TYPES
def test_a_negative_drawn_twice_counts_twice(dtype):
    """With equal logs, as in training, and once with another log."""
    w = with_negatives(small_world(dtype=dtype), [2, 0, 2, 5, 2, 0, 2])
    logs = np.array([-1, 0.5, -1, 2, 0.25, 0.5, -1], dtype)
    check_world(w.with_shared(negative_log_expected=logs), dtype)


@pytest.mark.rules("model-R10", "routing-R3")
def test_many_users_are_in_larger_blocks():
    small = {"items": 50, "negatives": 7, "length": 3, "width": 3, "interests": 2}
    for gradient in ("last", "all"):
        w = large_world(8 * BLOCK_USERS + 2, **small, routing_gradient=gradient)
        blocks = list(block_slices(len(w.batch.target), users_per_block(len(w.batch.target))))
        assert [block.stop - block.start for block in blocks] == [2 * BLOCK_USERS] * 4 + [2]
        check_world(w, gradient)


@pytest.mark.rules("embedding-R1", "embedding-R3", "embedding-R7")
@pytest.mark.parametrize("dtype", ["int32", "uint8", "uint64"])
@pytest.mark.slow
def test_ids_have_any_integer_dtype(dtype):
    """One array at a time, and all of them: two dtypes need not have a common one."""
    w = small_world()
    items = np.where(w.histories.mask, w.histories.items, 0).astype(dtype)
    profile = w.histories.profile.astype(dtype)
    target, negatives = (x.astype(dtype) for x in (w.batch.target, w.batch.negatives))
    catalogue = w.catalogue._replace(rows=w.catalogue.rows.astype(dtype))
    all_changed = w.with_histories(items=items, profile=profile)
    all_changed = all_changed.with_shared(target=target, negatives=negatives)
    for changed in (
        w.with_histories(items=items),
        w.with_histories(profile=profile),
        w.with_shared(target=target),
        w.with_shared(negatives=negatives),
        w._replace(catalogue=catalogue),
        all_changed._replace(catalogue=catalogue),
    ):
        check_world(changed, dtype)


@pytest.mark.rules("model-R5")
@pytest.mark.parametrize("way", ["columns", "apart", "unaligned"])
@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("gradient", ["last", "all"])
def test_matrices_may_have_any_memory_layout(way, index, gradient):
    """One at a time: the layers go to compiled code in a tuple, where all have one type."""
    axes, options = (TWO_BLOCKS, 6, 3, 4), {"dtype": "float32", "routing_gradient": gradient}
    w = world(np.random.default_rng(0), axes, **options)
    matrices = [w.params.bilinear, *(layer.weight for layer in w.params.layers)]
    matrices[index] = odd_layout(matrices[index], way)
    bilinear, *weights = matrices
    layers = tuple(Layer(x, of.bias) for x, of in zip(weights, w.params.layers, strict=True))
    check_world(w.with_params(bilinear=bilinear, layers=layers), "unusual layout")


@pytest.mark.slow
def test_large_kernels_compile_once_for_any_alignment_and_writability():
    w, narrow = (
        world(np.random.default_rng(0), (TWO_BLOCKS, 6, 3, 4), dtype="float32", profile_width=x)
        for x in (2, 1)
    )
    check_world(w, "unchanged")
    kernels = [forward_backward_block, layer_rows_forward]
    before = [len(x.signatures) for x in kernels]
    layers = tuple(Layer(x, odd_layout(bias, "apart")) for x, bias in w.params.layers)
    logs = odd_layout(w.batch.target_log_expected, "apart")
    target, negatives = (x.astype(np.int32) for x in (w.batch.target, w.batch.negatives))
    other_batch = w.with_shared(target_log_expected=logs, target=target, negatives=negatives)
    for other in (
        w.with_params(layers=layers),
        w.with_params(profile=np.asfortranarray(w.params.profile)),
        narrow.with_histories(profile=np.asfortranarray(narrow.histories.profile)),
        other_batch,
    ):
        check_world(other, "unusual layout")
    for x in [*flatten(w.params).values(), logs]:
        x.flags.writeable = False
    check_world(other_batch, "read-only")
    assert before == [len(x.signatures) for x in kernels]


@pytest.mark.slow
def test_a_model_without_layers():
    """The presets have at least one layer; parameters need not."""
    for gradient in ("last", "all"):
        settings = {**SINGLE, "routing_gradient": gradient}
        w = world(np.random.default_rng(0), (TWO_BLOCKS, 6, 3, 4), **settings)
        w = w.with_histories(profile=w.histories.profile[:, :0])
        check_world(w.with_params(layers=()), gradient)


def test_buffers_and_state_start_at_a_cache_line():
    subject, w = numba_implementation(), large_world(dtype="float32")
    state = subject.backend.init(w.params, w.config)
    state, _ = subject.backend.step(state, w.batch, w.catalogue, w.config, 0.1)
    tables = [flatten(state.params), state.moments.first, state.moments.second]
    tables.append(subject.backend.workspace().buffers)
    arrays = [x for table in tables for x in table.values()]
    assert len(arrays) > 50
    assert not any(x.ctypes.data % CACHE_LINE for x in arrays)


@pytest.mark.rules("model-R17")
def test_all_histories_empty():
    for axis, gradient in product(("interests", "behaviours"), ("last", "all")):
        settings = {"routing_axis": axis, "routing_gradient": gradient}
        check_world(small_world(np.zeros((4, 6), bool), **settings), axis)


@pytest.mark.rules("model-R2", "model-R10")
def test_items_without_features_and_users_without_a_profile():
    w = small_world()
    check_world(w._replace(catalogue=catalogue_of_ids(6, "float32")), "no features")
    first = Layer(w.params.layers[0].weight[:5], w.params.layers[0].bias)
    w = w.with_params(profile=np.zeros((0, 2), np.float32), layers=(first, *w.params.layers[1:]))
    check_world(w.with_histories(profile=np.zeros((4, 0), np.int64)), "no profile")


@pytest.mark.rules("model-R10", "sampled_softmax-R11", "routing-R3", "routing-R11")
@TYPES
@pytest.mark.slow
def test_many_blocks_of_users_items_and_negatives(dtype):
    """In float32 with shorter item vectors.

    With the usual vectors, the routing of one user is close to a tie. A change of the items by half
    a unit in the last place then changes gradient `all` by 4e-5. With shorter vectors no gradient
    changes by 2e-6.
    """
    for gradient, normalise in product(("last", "all"), (False, True)):
        settings = {"routing_gradient": gradient, "normalise": normalise}
        w = large_world(dtype=dtype, **settings)
        if dtype == "float32":
            w = w.with_params(items=w.params.items * np.float32(0.75))
        check_world(w, f"{settings}")


@pytest.mark.rules("numerics-R5")
def test_a_nan_affects_only_users_of_that_item():
    w = world(np.random.default_rng(2), (6, 6, 3, 5), **SINGLE)
    items = w.params.items.copy()
    items[w.catalogue.rows[w.batch.histories.items[0, 0], 0]] = np.nan
    loss, interests, _ = model_calls(w.with_params(items=items))
    got = agree_with_reference(interests)["interests"]
    touched = np.isnan(got).any(axis=(1, 2))
    assert touched.any()
    assert not touched.all()
    assert np.isnan(agree_with_reference(loss)["loss"])


@pytest.mark.rules(
    "optimiser-R1", "optimiser-R2", "optimiser-R3", "optimiser-R4", "optimiser-R5", "optimiser-R13",
    "optimiser-R22",
)  # fmt: skip
@pytest.mark.parametrize("features", [True, False])
@TYPES
def test_steps_equal_adam_and_rows_without_gradient_are_unchanged(features, dtype):
    """Large epsilon, so that every gradient counts. Six items of ten rows, or of one row."""
    w = world(
        np.random.default_rng(5), (4, 6, 3, 5), dtype=dtype, beta1=0.7, beta2=0.8, dense_rate=0.4
    )
    w = w if features else w._replace(catalogue=catalogue_of_ids(6, dtype))
    w = w.with_params(items=np.tile(w.params.items, (3, 1)))
    after = agree_with_reference(model_calls(w)[2], where=dtype)
    rows = np.unique(w.catalogue.rows)
    unused = np.setdiff1d(np.arange(len(w.params.items)), rows)
    assert len(unused) >= 20
    assert after["items"][unused].tobytes() == w.params.items[unused].tobytes()
    moved = np.abs(after["items"] - w.params.items).max(axis=1) > 0
    assert moved.sum() >= 6


@pytest.mark.rules("embedding-R1", "optimiser-R1", "optimiser-R5")
@pytest.mark.parametrize("weight", [0.5, 0.0])
def test_a_row_of_one_item_may_have_a_weight_other_than_one(weight):
    w = world(np.random.default_rng(5), (4, 6, 3, 5), **SINGLE, beta1=0.7, beta2=0.8)
    single_rows = catalogue_of_ids(6, "float32")
    single_rows.weights[single_rows.rows == 2] = weight
    agree_with_reference(model_calls(w._replace(catalogue=single_rows))[2])


@pytest.mark.rules("embedding-R3", "optimiser-R1", "optimiser-R5")
@pytest.mark.parametrize("threads", [1, 3])
def test_a_row_shared_by_items_is_updated_once(threads):
    """Each row has the gradients of sixty items, and must be updated once with their sum."""
    w = large_world()
    rows = (np.arange(len(w.catalogue.rows)) % 50)[:, None]
    shared = w._replace(catalogue=Catalogue(rows, np.ones(rows.shape, np.float32)))
    agree_with_reference(model_calls(shared)[2], numba_implementation(threads))
