"""Compiled operators agree with the reference where the conformance suite draws no such call.

`mindref conform` checks sizes, extreme values, layouts and integer types of each operator.
"""

from itertools import product

import numpy as np
import pytest

from mindref.backend import OPERATORS
from mindref.conformance.bounds import Precision
from mindref.conformance.checks.layouts import INTEGERS, WITH_INTEGERS, with_integers
from mindref.conformance.draws.operators import CALLS
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.context import CheckContext
from mindref.conformance.runner.drawn_calls import cached_calls
from mindref.conformance.runner.layouts import LAYOUTS
from mindref.conformance.tolerances import rounding
from mindref.kernels import (
    embedding,
    label_attention,
    relu_layer,
    routing,
    sampled_softmax,
)
from mindref.kernels import squash as kernel
from mindref.kernels.routing import TILE_USERS
from mindref.kernels.sampled_softmax import exp_shifted, scale_inplace_flush
from mindref.ops import squash
from mindref.ops.routing import AXES, GRADIENTS
from mindref.ops.squash import KINDS
from tests.kernels.cases import TYPES, check_call, numba_implementation
from tests.ops.test_squash import extremes

pytestmark = pytest.mark.slow
"""Compiling takes half a minute: `.ci/run conformance` runs these tests."""

EXAMPLES = 25
COMPILED = (
    embedding.sum_weighted_rows,
    embedding.scatter_add_rows,
    label_attention.attend_batch,
    label_attention.attend_batch_backward,
    relu_layer.relu_inplace,
    relu_layer.relu_inplace_backward,
    routing.route_users_backward,
    routing.route_users,
    sampled_softmax.cross_entropy,
)


@TYPES
@pytest.mark.parametrize(
    "stem",
    [
        pytest.param("embedding", marks=pytest.mark.rules("embedding-R1", "embedding-R3")),
        pytest.param("softmax", marks=pytest.mark.rules("softmax-R1", "softmax-R5")),
        pytest.param("squash", marks=pytest.mark.rules("squash-R1", "squash-R2")),
        pytest.param("relu_layer", marks=pytest.mark.rules("relu_layer-R1", "relu_layer-R3")),
        pytest.param(
            "label_attention",
            marks=pytest.mark.rules(
                "label_attention-R1", "label_attention-R8", "label_attention-R9"
            ),
        ),
        pytest.param(
            "sampled_softmax",
            marks=pytest.mark.rules(
                "sampled_softmax-R1",
                "sampled_softmax-R2",
                "sampled_softmax-R3",
                "sampled_softmax-R4",
                "sampled_softmax-R6",
                "sampled_softmax-R10",
                "sampled_softmax-R11",
                "sampled_softmax-R12",
            ),
        ),
    ],
)
def test_drawn_calls_agree_with_the_reference(stem, dtype):
    for call in cached_calls(CALLS[stem], EXAMPLES, 0):
        check_call(call.to(dtype))


@TYPES
@pytest.mark.rules("numerics-R14", "numerics-R15")
@pytest.mark.parametrize("stem", OPERATORS)
def test_no_layout_or_integer_type_compiles_a_function_again(stem, dtype):
    (drawn,) = cached_calls(CALLS[stem], 1, 0)
    call = drawn.to(dtype)
    context = CheckContext(numba_implementation(), Precision.of(dtype), 0, 1.0)
    context.run(call)
    before = [len(function.signatures) for function in COMPILED]
    for layout in LAYOUTS:
        context.run(call, layout=layout)
    for name in INTEGERS if stem in WITH_INTEGERS else ():
        context.run(with_integers(call, name))
    assert [len(function.signatures) for function in COMPILED] == before


@TYPES
@pytest.mark.rules(
    "routing-R2", "routing-R3", "routing-R8", "routing-R9", "routing-R11", "routing-R12",
    "routing-R13", "routing-R28", "routing-R32", "routing-R34", "routing-R35", "routing-R36",
)  # fmt: skip
def test_routing_with_every_option(dtype):
    for users, length, count, width in ((3, 7, 5, 3), (TILE_USERS + 2, 2, 4, 2)):
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
@pytest.mark.rules("relu_layer-R3")
def test_a_sum_of_zero_does_not_pass_the_relu(dtype):
    arrays = {"x": np.zeros((4, 3)), "weight": np.ones((3, 2)), "bias": np.array([0.0, 0.3])}
    check_call(Call("relu_layer", arrays, {"relu": True}, np.ones((4, 2))).to(dtype))


@TYPES
@pytest.mark.rules("label_attention-R17")
def test_a_score_that_is_nan_makes_the_weights_nan(dtype):
    rng = np.random.default_rng(0)
    interests, target = rng.standard_normal((2, 3, 2)), rng.standard_normal((2, 2))
    interests[1, 0] = np.nan
    arrays = {"interests": interests, "target": target, "active": np.ones((2, 3), bool)}
    for power in (0.0, 0.5, 2.0, np.inf):
        check_call(Call("label_attention", arrays, {"power": power}, target).to(dtype))


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
    routing.squash_tile(sums, kind, capsules, unit, across, along, scratch)
    return capsules[1, 2], unit[1, 2], across[1, 2], along[1, 2]
