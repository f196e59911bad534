"""What routing computes: Algorithm 1 against plain loops, then the rules of specs/routing.md."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.conformance.strategies import RoutingCase, generators, routing_cases
from mindref.conformance.tolerances import VANISHING, same_math
from mindref.errors import ShapeError
from mindref.ops import routing
from mindref.ops.routing import count_active_interests
from mindref.shapes import Array, Ints
from tests.ops import naive
from tests.ops.runs import run, users

SAME = {"rtol": same_math(np.float64), "atol": VANISHING}
ROUNDS = st.integers(1, 5)


def alone(case: RoutingCase, b: int, real: Ints, active: Ints) -> tuple[Array, Array, Array]:
    """Return what one user brings to the loops: no padding, no inactive interest."""
    general = case.bilinear.ndim == 4
    matrix = case.bilinear[np.ix_(real, active)] if general else case.bilinear
    return case.history[b, real], matrix, case.init_logits[b][np.ix_(real, active)]


@pytest.mark.parametrize("axis", ["interests", "behaviours"])
@pytest.mark.parametrize("general", [False, True])
@pytest.mark.rules(
    "routing-R1", "routing-R3", "routing-R4", "routing-R5", "routing-R8", "routing-R9"
)
@given(data=st.data(), rounds=ROUNDS)
def test_capsules_and_weights_equal_the_loops(
    general: bool, axis: str, data: st.DataObject, rounds: int
) -> None:
    case = data.draw(routing_cases(general=general))
    capsules, saved = run(case, iterations=rounds, axis=axis)
    expected, weights = np.zeros_like(capsules), np.zeros((rounds, *case.init_logits.shape))
    for b, real, active in users(case):
        u, w = naive.routing(
            *alone(case, b, real, active), rounds, over_behaviours=axis == "behaviours"
        )
        expected[b, active] = np.real(u)
        weights[(slice(None), b, *np.ix_(real, active))] = np.real(w)
    np.testing.assert_allclose(capsules, expected, **SAME, err_msg="capsules")
    found = np.array([turn.weights.out for turn in saved.iterations])
    np.testing.assert_allclose(found, weights, **SAME, err_msg="weights")


@pytest.mark.rules("routing-R1")
@given(routing_cases(), st.floats(-3, 3))
def test_a_sum_is_linear_in_the_behaviours_so_that_zero_stays_zero(
    case: RoutingCase, factor: float
) -> None:
    once, _ = run(case, iterations=1, kind="none")
    scaled, _ = run(case._replace(history=factor * case.history), iterations=1, kind="none")
    np.testing.assert_allclose(scaled, factor * once, **SAME)


@pytest.mark.rules("routing-R2")
@given(routing_cases(), ROUNDS)
def test_weights_of_a_behaviour_sum_to_one_over_the_active_interests(
    case: RoutingCase, rounds: int
) -> None:
    _, saved = run(case, iterations=rounds)
    for turn in saved.iterations:
        total = turn.weights.out.sum(axis=2)
        np.testing.assert_allclose(total, case.mask, **SAME)
        taken = np.where(case.active[:, None], 0, turn.weights.out)
        np.testing.assert_array_equal(taken, 0, err_msg="weights of inactive interests")


@pytest.mark.rules("routing-R5")
@given(routing_cases(), ROUNDS)
def test_exactly_r_iterations_are_made(case: RoutingCase, rounds: int) -> None:
    _, saved = run(case, iterations=rounds)
    assert len(saved.iterations) == rounds
    for turn, made in enumerate(saved.iterations):
        capsules, _ = run(case, iterations=turn + 1)
        np.testing.assert_array_equal(made.capsules, capsules)


@pytest.mark.rules("routing-R6")
@given(routing_cases(), generators())
def test_padding_has_no_influence(case: RoutingCase, rng: np.random.Generator) -> None:
    garbage = rng.choice([np.nan, np.inf, -np.inf, 1e300])
    other = case._replace(
        history=np.where(case.mask[..., None], case.history, garbage),
        init_logits=np.where(case.mask[..., None], case.init_logits, garbage),
    )
    capsules, saved = run(case)
    again, saved_again = run(other)
    np.testing.assert_array_equal(again, capsules)
    d_capsules = rng.standard_normal(capsules.shape)
    pairs = zip(
        routing.backward(d_capsules, saved), routing.backward(d_capsules, saved_again), strict=True
    )
    for gradient, gradient_again in pairs:
        np.testing.assert_array_equal(gradient_again, gradient)


@pytest.mark.parametrize("axis", ["interests", "behaviours"])
@pytest.mark.rules("routing-R6")
@given(data=st.data(), pads=st.integers(1, 9))
def test_the_amount_of_padding_has_no_influence(axis: str, data: st.DataObject, pads: int) -> None:
    case = data.draw(routing_cases())
    more = ((0, 0), (0, pads), (0, 0))
    padded = case._replace(
        history=np.pad(case.history, more, constant_values=7),
        mask=np.pad(case.mask, more[:2]),
        init_logits=np.pad(case.init_logits, more, constant_values=7),
    )
    np.testing.assert_allclose(run(padded, axis=axis)[0], run(case, axis=axis)[0], **SAME)


@pytest.mark.rules("routing-R7")
@given(routing_cases())
def test_an_inactive_interest_does_not_affect_the_routing_of_active_ones(case: RoutingCase) -> None:
    capsules, _ = run(case)
    for b in range(len(capsules)):
        count = int(case.active[b].sum())
        row = slice(b, b + 1)
        small = RoutingCase(
            case.history[row],
            case.mask[row],
            case.bilinear,
            case.init_logits[row, :, :count],
            case.active[row, :count],
        )
        np.testing.assert_allclose(capsules[b, :count], run(small)[0][0], **SAME)
        np.testing.assert_array_equal(capsules[b, count:], 0)


TABLE = {0: 1, 1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 7: 2, 8: 3, 15: 3, 20: 4, 31: 4, 50: 5, 100: 6}


@pytest.mark.rules("routing-R10")
@pytest.mark.parametrize("most", [1, 2, 4, 8, 62, 63, 64, 100])
def test_the_number_of_interests_is_the_floor_of_log2(most: int) -> None:
    """The table of the page, then every power of two and its neighbours, without a logarithm."""
    powers = [2**k + near for k in range(2, 63) for near in (-1, 0, 1)]
    lengths = np.array([*range(101), *powers, 2**63 - 1])
    expected = [max(1, min(most, int(n).bit_length() - 1)) for n in lengths]
    np.testing.assert_array_equal(count_active_interests(lengths, most), expected)
    rows = count_active_interests(np.array(list(TABLE)), 8)
    assert dict(zip(TABLE, rows.tolist(), strict=True)) == TABLE


@pytest.mark.rules("routing-R10")
def test_other_roundings_of_eq_9_match_the_page() -> None:
    assert math.floor(math.log2(1 + 3)) == math.ceil(math.log2(3)) == 2
    assert math.floor(math.log(20)) == 2
    narrow = np.float32(math.log(2**15)) / np.float32(math.log(2))  # no platform's own logarithm
    assert math.floor(narrow) == 14


@pytest.mark.rules("routing-R13")
@given(routing_cases(), generators())
def test_a_user_without_behaviours_gets_zero_capsules_and_zero_gradients(
    case: RoutingCase, rng: np.random.Generator
) -> None:
    mask = case.mask.copy()
    mask[0] = False
    capsules, saved = run(case._replace(mask=mask))
    d_history, d_bilinear, d_logits = routing.backward(rng.standard_normal(capsules.shape), saved)
    for array in (capsules[0], d_history[0], d_logits[0]):
        np.testing.assert_array_equal(array, 0)
    assert np.isfinite(d_bilinear).all()


@pytest.mark.rules("routing-R13")
@pytest.mark.parametrize("axis", ["interests", "behaviours"])
def test_histories_of_length_zero_are_empty(axis: str) -> None:
    case = RoutingCase(
        np.zeros((2, 0, 3)),
        np.zeros((2, 0), bool),
        np.eye(3),
        np.zeros((2, 0, 4)),
        np.ones((2, 4), bool),
    )
    np.testing.assert_array_equal(run(case, axis=axis)[0], np.zeros((2, 4, 3)))


@pytest.mark.rules("routing-R29", "routing-R30", "routing-R31")
@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"iterations": 0}, "routing: iterations: expected an integer from 1, got 0"),
        ({"iterations": 2.5}, "routing: iterations: expected an integer from 1, got 2.5"),
        ({"gradient": "none"}, "routing: gradient: expected all or last, got none"),
        ({"axis": "users"}, "routing: axis: expected interests or behaviours, got users"),
        ({"kind": "tanh"}, "squash: kind: expected squash or unit or none, got tanh"),
    ],
)
def test_an_invalid_option_raises(wrong: dict[str, object], text: str) -> None:
    case = RoutingCase(
        np.ones((2, 3, 5)),
        np.ones((2, 3), bool),
        np.eye(5),
        np.ones((2, 3, 4)),
        np.ones((2, 4), bool),
    )
    numbers = {"iterations": 3, "gradient": "last", **wrong}
    with pytest.raises(ShapeError) as error:
        routing.forward(*case, **numbers)
    assert str(error.value) == text
