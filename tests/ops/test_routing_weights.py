"""Routing where behaviours count by log weights: what it computes, its gradients, its refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mindref.conformance import gradient
from mindref.conformance.strategies import RoutingCase, generators, normal, routing_cases
from mindref.conformance.tolerances import VANISHING, WORKED_EXAMPLE, same_math
from mindref.errors import ShapeError
from mindref.ops import routing, squash
from mindref.shapes import Array
from tests import naive as plain
from tests import spec_pages
from tests.ops import naive
from tests.ops.runs import users
from tests.ops.test_routing import alone
from tests.ops.test_routing_gradient import OPTIONS, STEPS, smooth

SAME = {"rtol": same_math(np.float64), "atol": VANISHING}
ROUNDS = st.integers(1, 4)
GRADIENTS = ("d_history", "d_bilinear", "d_init_logits", "d_log_weights")
AXES = pytest.mark.parametrize("axis", routing.AXES)
CHOICES = pytest.mark.parametrize("choice", routing.GRADIENTS)


def drawn(rng: np.random.Generator, case: RoutingCase) -> Array:
    return normal(rng, *case.init_logits.shape)


def allowed(case: RoutingCase) -> Any:
    return case.mask[:, :, None] & case.active[:, None, :]


def run(case: RoutingCase, log_weights: Array | None, **numbers: Any) -> Any:
    given = {"iterations": 3, "gradient": "all", **numbers}
    return routing.forward(*case, log_weights=log_weights, **given)


@AXES
@pytest.mark.parametrize("general", [False, True])
@pytest.mark.rules("routing-R32")
@given(data=st.data(), rounds=ROUNDS, rng=generators())
def test_capsules_and_couplings_equal_the_loops(
    general: bool, axis: str, data: st.DataObject, rounds: int, rng: np.random.Generator
) -> None:
    case = data.draw(routing_cases(general=general))
    log_weights = drawn(rng, case)
    capsules, saved = run(case, log_weights, iterations=rounds, axis=axis)
    expected, couplings = np.zeros_like(capsules), np.zeros_like(case.init_logits)
    for b, real, active in users(case):
        own = log_weights[b][np.ix_(real, active)]
        u, w = naive.routing(
            *alone(case, b, real, active), rounds, own, over_behaviours=axis == "behaviours"
        )
        expected[b, active] = np.real(u)
        couplings[(b, *np.ix_(real, active))] = np.real(w[-1])
    np.testing.assert_allclose(capsules, expected, **SAME)
    np.testing.assert_allclose(saved.couplings, couplings, **SAME)


@pytest.mark.rules("routing-R32")
@pytest.mark.parametrize("kind", squash.KINDS)
@given(data=st.data(), rounds=ROUNDS, rng=generators())
def test_a_single_interest_is_the_squashed_weighted_sum(
    kind: str, data: st.DataObject, rounds: int, rng: np.random.Generator
) -> None:
    case = data.draw(routing_cases())
    active = np.arange(case.active.shape[1]) < np.ones((len(case.active), 1))
    log_weights = drawn(rng, case)
    capsules, _ = run(case._replace(active=active), log_weights, iterations=rounds, kind=kind)
    counts = np.where(case.mask, np.exp(log_weights[:, :, 0]), 0)
    sums = np.einsum("bl,de,ble->bd", counts, case.bilinear, case.history)
    np.testing.assert_allclose(capsules[:, 0], squash.forward(sums, kind=kind)[0], **SAME)


@AXES
@CHOICES
@pytest.mark.rules("routing-R33")
@given(data=st.data(), rounds=ROUNDS, rng=generators())
def test_log_weights_of_zero_change_no_byte(
    axis: str, choice: str, data: st.DataObject, rounds: int, rng: np.random.Generator
) -> None:
    case = data.draw(routing_cases(general=data.draw(st.booleans())))
    numbers = {"iterations": rounds, "axis": axis, "gradient": choice}
    capsules, saved = run(case, None, **numbers)
    again, saved_again = run(case, np.zeros_like(case.init_logits), **numbers)
    d_capsules = rng.standard_normal(capsules.shape)
    without = routing.backward(d_capsules, saved)
    *others, d_log_weights = routing.backward(d_capsules, saved_again)
    assert (len(without), d_log_weights.shape) == (3, case.init_logits.shape)
    pairs = [(capsules, again), (saved.couplings, saved_again.couplings)]
    for one, other in [*pairs, *zip(without, others, strict=True)]:
        np.testing.assert_array_equal(one, other)


@CHOICES
@pytest.mark.parametrize("garbage", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.rules("routing-R34")
@given(case=routing_cases(), rng=generators())
def test_log_weights_of_padding_have_no_influence(
    choice: str, garbage: float, case: RoutingCase, rng: np.random.Generator
) -> None:
    log_weights = drawn(rng, case)
    found = []
    for other in (0.0, garbage):
        given = np.where(allowed(case), log_weights, other)
        capsules, saved = run(case, given, gradient=choice)
        d_capsules = np.linspace(1, 2, capsules.size).reshape(capsules.shape)
        found.append((capsules, saved.couplings, *routing.backward(d_capsules, saved)))
    for one, other_one in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other_one)
    np.testing.assert_array_equal(np.where(allowed(case), 0, found[1][-1]), 0)


@pytest.mark.parametrize(("axis", "kind", "general"), OPTIONS)
@pytest.mark.rules("routing-R35")
@given(data=st.data(), rounds=ROUNDS, rng=generators())
@pytest.mark.slow(every=3)
def test_all_is_the_derivative_of_the_whole_function(
    axis: str, kind: str, general: bool, data: st.DataObject, rounds: int, rng: np.random.Generator
) -> None:
    case = data.draw(routing_cases(general=general))
    numbers = {"iterations": rounds, "gradient": "all", "axis": axis, "kind": kind}
    log_weights = drawn(rng, case) / 2
    _, saved = run(case, log_weights, **numbers)
    assume(smooth(saved, 0.3 if kind == "unit" else 0.03))

    def forward(history: Array, bilinear: Array, logits: Array, log_weights: Array) -> Array:
        moved = RoutingCase(history, case.mask, bilinear, logits, case.active)
        found: Array = run(moved, log_weights, **numbers)[0]
        return found

    inputs = (case.history, case.bilinear, case.init_logits, log_weights)
    gradient.check_gradient(
        forward, lambda d: routing.backward(d, saved), inputs, rng, step=STEPS[kind]
    )


@pytest.mark.parametrize(("axis", "kind", "general"), OPTIONS)
@pytest.mark.rules("routing-R36")
@given(data=st.data(), rounds=ROUNDS, rng=generators())
@pytest.mark.slow(every=3)
def test_last_is_the_derivative_of_the_last_iteration_with_constant_couplings(
    axis: str, kind: str, general: bool, data: st.DataObject, rounds: int, rng: np.random.Generator
) -> None:
    case = data.draw(routing_cases(general=general))
    log_weights = drawn(rng, case) / 2
    numbers = {"iterations": rounds, "gradient": "last", "axis": axis, "kind": kind}
    capsules, saved = run(case, log_weights, **numbers)
    assume(smooth(saved, 0.3 if kind == "unit" else 0.03))
    letters = "blk,lkde,ble->bkd" if general else "blk,de,ble->bkd"

    def held(history: Array, bilinear: Array, log_weights: Array) -> Array:
        counted = saved.couplings * np.exp(log_weights)
        return squash.forward(np.einsum(letters, counted, bilinear, history), kind=kind)[0]

    def backward(d: Array) -> list[Array]:
        found = routing.backward(d, saved)
        np.testing.assert_array_equal(found[2], 0, err_msg="init_logits")
        return [found[0], found[1], found[3]]

    inputs = (case.history, case.bilinear, log_weights)
    np.testing.assert_allclose(held(*inputs), capsules, **SAME)
    gradient.check_gradient(held, backward, inputs, rng, step=STEPS[kind])


@CHOICES
@AXES
@pytest.mark.rules("routing-R35", "routing-R36")
@given(case=routing_cases(), rounds=st.integers(1, 3), rng=generators())
def test_gradients_of_a_user_equal_the_loops(
    choice: str, axis: str, case: RoutingCase, rounds: int, rng: np.random.Generator
) -> None:
    """By a complex step through Algorithm 1; what is held constant loses its imaginary part."""
    log_weights = drawn(rng, case)
    capsules, saved = run(case, log_weights, iterations=rounds, gradient=choice, axis=axis)
    d_capsules = rng.standard_normal(capsules.shape)
    found = routing.backward(d_capsules, saved)[3]
    how = {"over_behaviours": axis == "behaviours", "frozen": choice == "last"}
    for b, real, active in list(users(case))[:1]:
        brought, places = alone(case, b, real, active), np.ix_(real, active)

        def of(p: Any, brought: Any = brought) -> Any:
            return naive.routing(*brought, rounds, p, **how)[0]

        (expected,) = naive.derivative(of, [log_weights[b][places]], d_capsules[b, active])
        near = {**SAME, "atol": same_math(np.float64) * np.abs(d_capsules).max()}
        np.testing.assert_allclose(found[b][places], expected, **near)


@pytest.mark.rules("routing-R37")
@given(case=routing_cases(), rounds=ROUNDS, rng=generators())
def test_a_weight_of_two_equals_a_repeated_behaviour(
    case: RoutingCase, rounds: int, rng: np.random.Generator
) -> None:
    log_weights = drawn(rng, case)
    place = int(rng.integers(case.history.shape[1]))
    more = np.array(log_weights)
    more[:, place] += np.log(2)
    once, _ = run(case, more, iterations=rounds)
    order = np.append(np.arange(case.history.shape[1]), place)
    longer = case._replace(
        history=case.history[:, order],
        mask=case.mask[:, order],
        init_logits=case.init_logits[:, order],
    )
    np.testing.assert_allclose(
        run(longer, log_weights[:, order], iterations=rounds)[0], once, **SAME
    )


@pytest.mark.rules("routing-R38")
@given(case=routing_cases(), rng=generators())
def test_log_weights_separate_interests_even_with_zero_logits(
    case: RoutingCase, rng: np.random.Generator
) -> None:
    case = case._replace(init_logits=np.zeros_like(case.init_logits))
    capsules, _ = run(case, drawn(rng, case))
    for b, _, active in users(case):
        gaps = capsules[b, active][:, None] - capsules[b, active]
        gaps[np.diag_indices(len(active))] = 1
        assert np.abs(gaps).max(axis=-1).min() > 0


@pytest.mark.rules("routing-R34", "routing-R35")
@pytest.mark.parametrize("places", [0, 4])
def test_users_without_behaviours_have_zero_capsules_and_gradients(places: int) -> None:
    case = RoutingCase(
        np.ones((2, places, 3)),
        np.zeros((2, places), bool),
        np.eye(3),
        np.ones((2, places, 5)),
        np.ones((2, 5), bool),
    )
    capsules, saved = run(case, np.ones((2, places, 5)))
    for found in (capsules, *routing.backward(np.ones(capsules.shape), saved)):
        np.testing.assert_array_equal(found, 0)


@CHOICES
@pytest.mark.rules("routing-R32")
@given(case=routing_cases(), rng=generators())
def test_a_log_weight_of_minus_infinity_is_weight_zero(
    choice: str, case: RoutingCase, rng: np.random.Generator
) -> None:
    nothing = np.full_like(case.init_logits, -np.inf)
    capsules, saved = run(case, nothing, gradient=choice)
    np.testing.assert_array_equal(capsules, 0)
    for found in routing.backward(rng.standard_normal(capsules.shape), saved):
        np.testing.assert_array_equal(found, 0)


@pytest.mark.rules("routing-R39")
@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (
            np.ones((2, 3, 1)),
            "routing: log_weights has shape (2, 3, 1) but init_logits (2, 3, 4) needs"
            " (B, L, K) = (2, 3, 4)",
        ),
        (np.ones((2, 3)), "routing: log_weights has shape (2, 3) but needs 3 axes (B, L, K)"),
        (
            np.ones((2, 3, 4), np.float32),
            "routing: expected one dtype, float32 or float64, got history float64,"
            " bilinear float64, init_logits float64, log_weights float32",
        ),
    ],
)
def test_invalid_log_weights_raise(wrong: Array, text: str) -> None:
    case = RoutingCase(
        np.ones((2, 3, 5)),
        np.ones((2, 3), bool),
        np.eye(5),
        np.ones((2, 3, 4)),
        np.ones((2, 4), bool),
    )
    with pytest.raises(ShapeError) as error:
        run(case, wrong)
    assert str(error.value) == text


@CHOICES
@pytest.mark.rules("routing-R32", "routing-R35", "routing-R36")
def test_the_worked_example_holds(choice: str) -> None:
    example = spec_pages.examples("routing")[2]
    names = ("history", "bilinear", "init_logits", "log_weights", "d_capsules")
    history, bilinear, logits, log_weights, d_capsules = (
        np.array(example[n], float) for n in names
    )
    interests = np.ones((1, logits.shape[1]), bool)
    places = np.ones((1, len(history)), bool)
    case = RoutingCase(history[None], places, bilinear, logits[None], interests)
    capsules, saved = run(
        case, log_weights[None], iterations=example["iterations"], gradient=choice
    )
    close = {"rtol": 0, "atol": WORKED_EXAMPLE}
    loops, couplings = plain.capsules(
        history, bilinear, logits, example["iterations"], log_weights=log_weights
    )
    for found, expected in ((capsules[0], loops), (saved.couplings[0], couplings)):
        np.testing.assert_allclose(found, expected, **SAME)
    np.testing.assert_allclose(capsules[0], example["capsules"], **close)
    np.testing.assert_allclose(saved.couplings[0], example["couplings"], **close)
    gradients = routing.backward(d_capsules[None], saved)
    for name, found in zip(GRADIENTS, gradients, strict=True):
        own = found if name == "d_bilinear" else found[0]
        np.testing.assert_allclose(own, example[choice][name], **close, err_msg=name)
