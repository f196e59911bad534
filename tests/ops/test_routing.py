"""What routing computes: Algorithm 1 against plain loops, then the rules of specs/routing.md."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.conformance.strategies import RoutingCase, generators, routing_cases
from mindref.errors import ShapeError
from mindref.ops import routing
from mindref.ops.routing import count_active_interests
from tests import naive
from tests.assertions import assert_close, assert_equal_arrays, raises_exactly
from tests.ops.routing_calls import (
    AXES,
    CHOICES,
    WEIGHTED,
    draw_log_weights,
    loop_arguments,
    ones_case,
    run,
    users,
)

ITERATIONS = st.integers(1, 5)


@AXES
@pytest.mark.parametrize("general", [False, True])
@WEIGHTED
@pytest.mark.rules(
    "routing-R1", "routing-R2", "routing-R3", "routing-R4", "routing-R5", "routing-R8",
    "routing-R9", "routing-R20", "routing-R21", "routing-R22", "routing-R23", "routing-R25",
    "routing-R32", "routing-R37",
)  # fmt: skip
@given(data=st.data(), iterations=ITERATIONS, rng=generators())
def test_capsules_and_couplings_equal_the_loops(weighted, general, axis, data, iterations, rng):
    case = data.draw(routing_cases(general=general))
    log_weights = draw_log_weights(rng, case, weighted)
    capsules, saved = run(case, log_weights, iterations=iterations, axis=axis)
    expected, couplings = np.zeros_like(capsules), np.zeros((iterations, *case.init_logits.shape))
    for b, real, active in users(case):
        pairs = np.ix_(real, active)
        of_user = log_weights[b][pairs] if log_weights is not None else None
        arguments = loop_arguments(case, b, real, active)
        u, w = naive.capsules(*arguments, iterations, axis, log_weights=of_user)
        expected[b, active] = u
        couplings[(slice(None), b, *pairs)] = w
    assert_close(capsules, expected, "capsules")
    assert_close([x.weights.out for x in saved.iterations], couplings, "couplings")
    assert_close(saved.couplings, couplings[-1], "last couplings")


TABLE = {0: 1, 1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 7: 2, 8: 3, 15: 3, 20: 4, 31: 4, 50: 5, 100: 6}


@pytest.mark.rules("routing-R10")
@pytest.mark.parametrize("most", [1, 2, 4, 8, 62, 63, 64, 100])
def test_the_number_of_interests_is_the_floor_of_log2(most):
    """Every power of two and its neighbours, without a logarithm; then a table for K = 8."""
    powers = [2**k + near for k in range(2, 63) for near in (-1, 0, 1)]
    lengths = np.array([*range(101), *powers, 2**63 - 1])
    expected = [max(1, min(most, int(n).bit_length() - 1)) for n in lengths]
    np.testing.assert_array_equal(count_active_interests(lengths, most), expected)
    rows = count_active_interests(np.array(list(TABLE)), 8)
    assert dict(zip(TABLE, rows.tolist(), strict=True)) == TABLE


@pytest.mark.rules("routing-R13", "routing-R34", "routing-R35")
@AXES
@pytest.mark.parametrize("length", [0, 4])
@WEIGHTED
def test_users_without_behaviours_have_zero_capsules_and_gradients(weighted, length, axis):
    case = ones_case(2, length, 3, 5)._replace(mask=np.zeros((2, length), bool))
    log_weights = np.ones((2, length, 5)) if weighted else None
    capsules, saved = run(case, log_weights, axis=axis)
    assert capsules.shape == (2, 5, 3)
    for array in (capsules, *routing.backward(np.ones(capsules.shape), saved)):
        np.testing.assert_array_equal(array, 0)


@AXES
@WEIGHTED
@pytest.mark.rules("routing-R24")
@given(case=routing_cases(), iterations=ITERATIONS, rng=generators())
def test_equal_logits_keep_all_capsules_equal(weighted, axis, case, iterations, rng):
    """Log weights may differ between behaviours, but not between interests."""
    logits = np.broadcast_to(case.init_logits[..., :1], case.init_logits.shape)
    log_weights = np.broadcast_to(rng.standard_normal((*case.mask.shape, 1)), logits.shape)
    arguments = (case._replace(init_logits=logits), log_weights if weighted else None)
    capsules, _ = run(*arguments, iterations=iterations, axis=axis)
    assert_close(capsules, np.where(case.active[..., None], capsules[:, :1], 0))


@pytest.mark.rules("routing-R26", "routing-R38")
@AXES
@pytest.mark.parametrize("by", ["matrices", "log weights"])
def test_interests_differ_if_and_only_if_their_sums_differ(by, axis):
    """Two equal behaviours, whose matrices or log weights are swapped between the interests."""
    rng, on = np.random.default_rng(0), np.ones((1, 2), bool)
    history = np.repeat(rng.standard_normal((1, 1, 3)), 2, axis=1)
    first, second, third = rng.standard_normal((3, 3, 3) if by == "matrices" else 3)

    def capsules(x, iterations):
        options = {"iterations": iterations, "gradient": "last", "axis": axis}
        arrays = (x,) if by == "matrices" else (np.eye(3),)
        weights = () if by == "matrices" else (x[None],)
        zeros = np.zeros((1, 2, 2))
        return routing.forward(history, on, *arrays, zeros, on, *weights, **options)[0][0]

    swapped = np.stack([first, second, second, first]).reshape(2, 2, *np.shape(first))
    for iterations in (1, 3):
        equal = capsules(swapped, iterations)
        assert_close(equal[0], equal[1])
    swapped[1, 1] = third
    different = capsules(swapped, 1)
    assert np.abs(different[0] - different[1]).max() > 1e-3


@AXES
@CHOICES
@pytest.mark.rules("routing-R33")
@given(data=st.data(), iterations=ITERATIONS, rng=generators())
def test_log_weights_of_zero_change_no_byte(axis, choice, data, iterations, rng):
    case = data.draw(routing_cases(general=data.draw(st.booleans())))
    numbers = {"iterations": iterations, "axis": axis, "gradient": choice}
    capsules, saved = run(case, None, **numbers)
    again, saved_again = run(case, np.zeros_like(case.init_logits), **numbers)
    d_capsules = rng.standard_normal(capsules.shape)
    without = routing.backward(d_capsules, saved)
    *others, d_log_weights = routing.backward(d_capsules, saved_again)
    assert (len(without), d_log_weights.shape) == (3, case.init_logits.shape)
    assert_equal_arrays(
        [again, saved_again.couplings, *others], [capsules, saved.couplings, *without]
    )


@pytest.mark.rules("routing-R29", "routing-R30", "routing-R31", "routing-R39")
@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"iterations": 0}, "routing: iterations: expected an integer from 1, got 0"),
        ({"iterations": 2.5}, "routing: iterations: expected an integer from 1, got 2.5"),
        ({"gradient": "none"}, "routing: gradient: expected all or last, got none"),
        ({"axis": "users"}, "routing: axis: expected interests or behaviours, got users"),
        ({"kind": "tanh"}, "squash: kind: expected squash or unit or none, got tanh"),
        (
            {"log_weights": np.ones((2, 3, 1))},
            "routing: log_weights has shape (2, 3, 1) but init_logits (2, 3, 4) needs"
            " (B, L, K) = (2, 3, 4)",
        ),
        (
            {"log_weights": np.ones((2, 3))},
            "routing: log_weights has shape (2, 3) but needs 3 axes (B, L, K)",
        ),
        (
            {"log_weights": np.ones((2, 3, 4), np.float32)},
            "routing: expected one dtype, float32 or float64, got history float64,"
            " bilinear float64, init_logits float64, log_weights float32",
        ),
    ],
)
def test_an_invalid_argument_raises(wrong, text):
    with raises_exactly(ShapeError, text):
        run(ones_case(2, 3, 5, 4), **{"gradient": "last", **wrong})


@AXES
@pytest.mark.rules("routing-R7")
@given(case=routing_cases())
def test_an_inactive_interest_does_not_affect_the_routing_of_active_ones(axis, case):
    capsules, _ = run(case, axis=axis)
    for b in range(len(capsules)):
        history, mask, _, logits, active = (x[b : b + 1] for x in case)
        count = int(active.sum())
        small = RoutingCase(history, mask, case.bilinear, logits[..., :count], active[:, :count])
        assert_close(capsules[b, :count], run(small, axis=axis)[0][0])
        np.testing.assert_array_equal(capsules[b, count:], 0)
