"""Each compiled operator agrees with the reference, forward and backward."""

from itertools import product

import numpy as np
import pytest

from mindref.conformance.draws.operators import CALLS
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.drawn_calls import cached_calls
from mindref.conformance.tolerances import rounding
from mindref.kernels import routing_forward
from mindref.kernels import squash as kernel
from mindref.kernels.routing_forward import TILE_USERS
from mindref.kernels.sampled_softmax import exp_shifted, scale_inplace_flush
from mindref.ops import squash
from mindref.ops.routing import AXES, GRADIENTS
from mindref.ops.squash import KINDS
from tests.kernels.cases import TYPES, check_call, numba_implementation
from tests.ops.test_squash import extremes

pytestmark = pytest.mark.slow
"""Compiling takes half a minute: `.ci/run conformance` runs these tests."""

EXAMPLES = 25


def check_drawn_calls(stem, dtype):
    for call in cached_calls(CALLS[stem], EXAMPLES, 0):
        check_call(call.to(dtype))


def normal_numbers(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape)


@TYPES
@pytest.mark.rules("embedding-R1", "embedding-R2", "embedding-R3", "embedding-R5", "embedding-R6")
def test_embedding(dtype):
    check_drawn_calls("embedding", dtype)
    table = normal_numbers(5, 3)
    for rows in ([[4, 4, 0], [4, 1, 1]], [[2]], np.zeros((0, 2)), np.zeros((2, 0))):
        ids = np.array(rows, np.int64)
        weights = np.where(ids == 1, 0.0, 0.5)
        arrays = {"table": table, "rows": ids, "weights": weights}
        check_call(Call("embedding", arrays, {}, normal_numbers(len(ids), 3)).to(dtype))


@TYPES
@pytest.mark.rules(
    "softmax-R1", "softmax-R2", "softmax-R3", "softmax-R4", "softmax-R5", "softmax-R6"
)
def test_softmax(dtype):
    check_drawn_calls("softmax", dtype)
    for shape, axis in product(((0, 3), (3, 0), (2, 1)), (0, 1)):
        arrays = {"logits": normal_numbers(*shape), "mask": np.ones(shape, bool)}
        check_call(Call("softmax", arrays, {"axis": axis}, normal_numbers(*shape)).to(dtype))


@TYPES
@pytest.mark.rules("squash-R1", "squash-R2", "squash-R3", "squash-R4", "squash-R6", "squash-R7")
def test_squash(dtype):
    check_drawn_calls("squash", dtype)
    arrays = [np.zeros((2, 3)), *(normal_numbers(*x) for x in ((0, 3), (2, 1), (2, 3, 4)))]
    for kind in KINDS:
        for x in arrays:
            check_call(Call("squash", {"x": x}, {"kind": kind}, normal_numbers(*x.shape)).to(dtype))
        for x in extremes(dtype):  # one at a time: the magnitudes differ
            check_call(Call("squash", {"x": x}, {"kind": kind}, np.ones(3)).to(dtype))


@TYPES
@pytest.mark.rules(
    "routing-R1", "routing-R2", "routing-R3", "routing-R4", "routing-R5", "routing-R7",
    "routing-R8", "routing-R9", "routing-R11", "routing-R12", "routing-R13", "routing-R28",
    "routing-R32", "routing-R34", "routing-R35", "routing-R36",
)  # fmt: skip
def test_routing(dtype):
    check_drawn_calls("routing", dtype)
    shapes = ((0, 3, 2, 2), (2, 0, 2, 2), (3, 9, 4, 1), (3, 7, 5, 3), (TILE_USERS + 2, 2, 4, 2))
    for users, length, count, width in shapes:
        rng = np.random.default_rng(users)
        arrays = {
            "history": rng.standard_normal((users, length, width)),
            "mask": np.arange(length) < rng.integers(0, length + 1, users)[:, None],
            "bilinear": rng.standard_normal((width, width)),
            "init_logits": rng.standard_normal((users, length, count)),
            "active": np.arange(count) < rng.integers(1, count + 1, users)[:, None],
        }
        log_weights = rng.standard_normal((users, length, count))
        log_weights[:, :, 1:2] = np.where(arrays["active"][:, None, 1:2], -1e4, np.nan)  # exp is 0
        for gradient, axis, kind in product(GRADIENTS, AXES, KINDS):
            settings = {"gradient": gradient, "axis": axis, "kind": kind, "iterations": 3}
            cotangent = rng.standard_normal((users, count, width))
            for call_arrays in (arrays, {**arrays, "log_weights": log_weights}):
                check_call(Call("routing", call_arrays, settings, cotangent).to(dtype))


@TYPES
@pytest.mark.rules(
    "relu_layer-R1", "relu_layer-R2", "relu_layer-R3", "relu_layer-R4", "relu_layer-R7"
)
def test_relu_layer(dtype):
    check_drawn_calls("relu_layer", dtype)
    x = normal_numbers(4, 3)
    x[1] = np.nan
    x[2] = 0  # with a bias of zero the sum is zero, and does not pass
    for rows, relu in product((x, x[:0]), (True, False)):
        arrays = {"x": rows, "weight": normal_numbers(3, 2), "bias": np.array([0.0, 0.3])}
        call = Call("relu_layer", arrays, {"relu": relu}, normal_numbers(len(rows), 2))
        check_call(call.to(dtype))


@TYPES
@pytest.mark.rules(
    "label_attention-R1", "label_attention-R2", "label_attention-R3", "label_attention-R4",
    "label_attention-R5", "label_attention-R6", "label_attention-R7", "label_attention-R8",
    "label_attention-R9", "label_attention-R10", "label_attention-R11", "label_attention-R12",
    "label_attention-R13", "label_attention-R17",
)  # fmt: skip
def test_label_attention(dtype):
    check_drawn_calls("label_attention", dtype)
    interests = normal_numbers(5, 3, 2)
    interests[1, 1] = interests[1, 0]  # a tie
    interests[2, 0] = np.nan
    interests[3, 0] = 0  # a score of zero
    target, active = normal_numbers(5, 2), np.arange(3) < np.array([1, 2, 3, 3, 2])[:, None]
    for users in (5, 0):
        arrays = {"interests": interests, "target": target, "active": active}
        first = {name: x[:users] for name, x in arrays.items()}
        for power in (0.0, 0.5, 1.0, 2.0, 300.0, np.inf):
            call = Call("label_attention", first, {"power": power}, normal_numbers(users, 2))
            check_call(call.to(dtype))


@TYPES
@pytest.mark.rules("sampled_softmax-R9", "sampled_softmax-R18")
def test_sampled_softmax_finds_the_largest_logit_at_any_index(dtype):
    """Beside it the exponentials of the others vanish; without it, its own would be infinite."""
    all_small = np.full((19, 1), -0.9 * np.finfo(dtype).max, dtype)  # their sum is infinite
    one_large = [np.where(np.arange(19) == index, 800.0, 0.0)[:, None] for index in range(19)]
    cases = [(0.0, negatives) for negatives in (*one_large, all_small)]
    cases += [(-900.0, negatives - 900) for negatives in one_large]  # all below zero
    for target, negatives in cases:
        arrays = {
            "user": np.ones((1, 1)), "target": np.full((1, 1), target), "negatives": negatives,
            "target_ids": np.array([99]), "negative_ids": np.arange(19),
            "target_log_expected": np.zeros(1), "negative_log_expected": np.zeros(19),
        }  # fmt: skip
        settings = {"temperature": 1.0, "normalise": False}
        call = Call("sampled_softmax", arrays, settings, np.array(1.5)).to(dtype)
        check_call(call)
        loss = numba_implementation().answer(call)["out"]  # here the error bound is infinite
        assert loss == (0 if negatives is all_small else 800)


@TYPES
@pytest.mark.rules("sampled_softmax-R11")
def test_a_probability_below_the_smallest_normal_number_is_zero(dtype):
    """Operations with subnormal numbers are slow; normal probabilities do not change."""
    smallest, kind = np.log(float(np.finfo(dtype).tiny)), np.dtype(dtype).type
    logits = np.array([0, smallest + 1, smallest - 1, smallest - 10, -np.inf], dtype)
    probabilities = np.exp(logits)
    assert 0 < probabilities[3] < probabilities[2] < np.finfo(dtype).tiny
    for factor in (1.0, -1.0):
        x = probabilities.copy()
        total = scale_inplace_flush(x, kind(factor))
        assert x.tolist() == [*(factor * probabilities[:2]).tolist(), 0, 0, 0]
        assert total == factor
        x = np.append(probabilities[:2], kind(np.nan))
        assert np.isnan(scale_inplace_flush(x, kind(factor)))
        assert np.isnan(x).tolist() == [False, False, True]
    halves = probabilities[:2].copy()
    assert scale_inplace_flush(halves, kind(0.25)) == 0.25  # only the product counts
    assert halves.tolist() == [0.25, 0]
    assert exp_shifted(kind(0), logits) == 1  # the others are too small to count
    assert (logits > 0).tolist() == [True, True, False, False, False]


@TYPES
@pytest.mark.rules(
    "sampled_softmax-R1", "sampled_softmax-R2", "sampled_softmax-R3", "sampled_softmax-R4",
    "sampled_softmax-R5", "sampled_softmax-R6", "sampled_softmax-R7", "sampled_softmax-R8",
    "sampled_softmax-R10", "sampled_softmax-R11", "sampled_softmax-R12", "sampled_softmax-R18",
)  # fmt: skip
def test_sampled_softmax(dtype):
    check_drawn_calls("sampled_softmax", dtype)
    for count in (0, 1, 16, 37):  # the search for the largest is vectorised
        ids = np.arange(count) % 7
        for name, nan in ((None, 0), ("user", 1), ("negatives", 0)):
            arrays = {
                "user": normal_numbers(3, 4), "target": normal_numbers(3, 4),
                "negatives": normal_numbers(count, 4),
                "target_ids": np.array([0, 0, 5]), "negative_ids": ids,
                "target_log_expected": normal_numbers(3),
                "negative_log_expected": normal_numbers(count),
            }  # fmt: skip
            if name and len(arrays[name]):
                arrays[name][nan] = np.nan
            for normalise in (False, True):
                settings = {"temperature": 0.5, "normalise": normalise}
                check_call(Call("sampled_softmax", arrays, settings, np.array(1.5)).to(dtype))


@TYPES
@pytest.mark.rules("squash-R4", "squash-R5")
def test_no_length_overflows_or_underflows(dtype):
    for x in extremes(dtype):
        scale, length = kernel.scaled_length(x)
        size = np.longdouble(np.abs(x).max())
        expected = size * np.sqrt(((x.astype(np.longdouble) / size) ** 2).sum())
        got = np.longdouble(scale) * np.longdouble(length)
        assert abs(got - expected) <= rounding(dtype) * expected, x
    assert kernel.scaled_length(np.zeros(3, dtype)) == (1, 0)
    assert kernel.scaled_length(np.zeros(0, dtype)) == (1, 0)


@TYPES
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.rules("squash-R1", "squash-R2", "squash-R3", "squash-R4", "squash-R6", "squash-R7")
def test_capsules_and_slopes_equal_the_operator(dtype, kind):
    vectors = [*extremes(dtype), np.zeros(3, dtype), np.array([np.nan, 1, 2], dtype)]
    vectors += [np.array([0.3, 0.4, 0], dtype), np.array([3, -4, 1], dtype), np.ones(1, dtype)]
    number = KINDS.index(kind)
    for x in vectors:
        expected, saved = squash.forward(x[None], kind=kind)
        smallest = 4 * np.finfo(dtype).smallest_subnormal
        near = {"rtol": 2 * rounding(dtype), "atol": smallest, "err_msg": f"{x}"}
        out, unit = np.full_like(x, 7), np.full_like(x, 7)
        slopes = kernel.squash_row(x, number, out, unit)
        in_tile = squash_in_tile(x, number)
        for result in ((out, unit, *slopes), in_tile):
            np.testing.assert_allclose(result[0], expected[0], **near)
            np.testing.assert_allclose(result[1], saved.unit[0], **near)
            np.testing.assert_allclose(
                result[2:], [saved.across.item(), saved.along.item()], **near
            )


def squash_in_tile(x, kind):
    """Return capsule, direction and slopes of x as the last of six rows, of two users."""
    sums = np.broadcast_to(np.ones_like(x), (2, 3, len(x))).copy()
    sums[1, 2] = x
    capsules, unit = np.full_like(sums, 7), np.full_like(sums, 7)
    across, along = np.full((2, 3), 7, x.dtype), np.full((2, 3), 7, x.dtype)
    scratch = np.empty((3, 8), x.dtype)
    routing_forward.squash_tile(sums, kind, capsules, unit, across, along, scratch)
    return capsules[1, 2], unit[1, 2], across[1, 2], along[1, 2]


@pytest.mark.rules("numerics-R13")
def test_an_infinite_vector_gives_nan():
    x = np.array([np.inf, 1, 0])
    out, unit = np.empty(3), np.empty(3)
    kernel.squash_row(x, 0, out, unit)
    with np.errstate(invalid="ignore"):
        expected = squash.forward(x[None])[0][0]
    np.testing.assert_array_equal(np.isfinite(out), np.isfinite(expected))
