"""The gradients of routing: all rounds, the last one, and the worked examples of the page."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mindref.conformance import gradient
from mindref.conformance.strategies import RoutingCase, generators, routing_cases
from mindref.conformance.tolerances import VANISHING, WORKED_EXAMPLE, same_math
from mindref.models.logits import keyed_table
from mindref.ops import routing, squash
from mindref.ops.votes import sum_votes
from mindref.shapes import Array
from tests import spec_pages

OPTIONS = [
    (axis, kind, general)
    for axis in routing.AXES
    for kind in squash.KINDS
    for general in (False, True)
]
ROUNDS = st.integers(1, 4)


def smooth(saved: routing.Saved, least: float) -> bool:
    """Return whether no sum is near zero, where squash bends; at zero itself it stays zero."""
    sums = [
        sum_votes(routing.apply_factors(turn.weights.out, saved.factors), saved.votes)
        for turn in saved.iterations
    ]
    lengths = np.linalg.norm(sums, axis=-1)
    return bool(np.min(np.where(lengths > 0, lengths, 1), initial=1) > least)


# a direction turns the faster the shorter its vector is
STEPS = {"squash": gradient.STEP, "none": gradient.STEP, "unit": gradient.SHORT_STEP}


@pytest.mark.parametrize(("axis", "kind", "general"), OPTIONS)
@pytest.mark.rules("routing-R11", "routing-R9", "routing-R25", "routing-R27")
@given(data=st.data(), rounds=ROUNDS, rng=generators())
@pytest.mark.slow(every=3)
def test_all_is_the_derivative_of_the_whole_function(
    axis: str, kind: str, general: bool, data: st.DataObject, rounds: int, rng: np.random.Generator
) -> None:
    case = data.draw(routing_cases(general=general))
    numbers = {"iterations": rounds, "gradient": "all", "axis": axis, "kind": kind}
    _, saved = routing.forward(*case, **numbers)
    assume(smooth(saved, 0.3 if kind == "unit" else 0.03))

    def forward(history: Array, bilinear: Array, init_logits: Array) -> Array:
        return routing.forward(history, case.mask, bilinear, init_logits, case.active, **numbers)[0]

    inputs = (case.history, case.bilinear, case.init_logits)
    gradient.check_gradient(
        forward, lambda d: routing.backward(d, saved), inputs, rng, step=STEPS[kind]
    )


@pytest.mark.parametrize(("axis", "kind", "general"), OPTIONS)
@pytest.mark.rules("routing-R12")
@given(data=st.data(), rounds=ROUNDS, rng=generators())
@pytest.mark.slow(every=3)
def test_last_is_the_derivative_of_the_last_iteration_with_constant_weights(
    axis: str, kind: str, general: bool, data: st.DataObject, rounds: int, rng: np.random.Generator
) -> None:
    case = data.draw(routing_cases(general=general))
    capsules, saved = routing.forward(
        *case, iterations=rounds, gradient="last", axis=axis, kind=kind
    )
    assume(smooth(saved, 0.3 if kind == "unit" else 0.03))
    letters = "blk,lkde,ble->bkd" if general else "blk,de,ble->bkd"

    def held(history: Array, bilinear: Array) -> Array:
        masked = np.where(case.mask[..., None], history, 0)
        return squash.forward(np.einsum(letters, saved.couplings, bilinear, masked), kind=kind)[0]

    np.testing.assert_allclose(
        held(case.history, case.bilinear), capsules, rtol=same_math(np.float64), atol=VANISHING
    )
    inputs = (case.history, case.bilinear)
    gradient.check_gradient(
        held, lambda d: routing.backward(d, saved)[:2], inputs, rng, step=STEPS[kind]
    )


@pytest.mark.rules("routing-R12")
@given(routing_cases(), ROUNDS, generators())
def test_only_all_has_a_gradient_of_the_initial_logits(
    case: RoutingCase, rounds: int, rng: np.random.Generator
) -> None:
    d_logits = {}
    for choice in routing.GRADIENTS:
        out, saved = routing.forward(*case, iterations=rounds, gradient=choice)
        d_logits[choice] = routing.backward(rng.standard_normal(out.shape), saved)[2]
    np.testing.assert_array_equal(d_logits["last"], 0)
    free = case.mask & (case.active.sum(axis=1) > 1)[:, None]  # K' = 1 leaves nothing to decide
    assert (np.abs(d_logits["all"]).max(axis=2) > 0).tolist() == free.tolist()


@pytest.mark.rules("routing-R11", "routing-R12")
@pytest.mark.parametrize("choice", routing.GRADIENTS)
@pytest.mark.parametrize("rounds", [1, 2, 3])
@given(case=routing_cases(), rng=generators())
def test_any_number_of_iterations_has_a_gradient(
    choice: str, rounds: int, case: RoutingCase, rng: np.random.Generator
) -> None:
    out, saved = routing.forward(*case, iterations=rounds, gradient=choice)
    d_history, d_bilinear, _ = routing.backward(rng.standard_normal(out.shape), saved)
    assert d_history.any(axis=2).tolist() == case.mask.tolist()
    assert d_bilinear.any() == case.mask.any()


@pytest.mark.rules("routing-R28")
@pytest.mark.parametrize("kind", squash.KINDS)
@given(case=routing_cases(), rng=generators())
def test_the_gradient_of_an_inactive_interest_has_no_influence(
    kind: str, case: RoutingCase, rng: np.random.Generator
) -> None:
    out, saved = routing.forward(*case, iterations=3, gradient="all", kind=kind)
    d_capsules = rng.standard_normal(out.shape)
    silent = np.where(case.active[..., None], d_capsules, 0)
    pairs = zip(routing.backward(d_capsules, saved), routing.backward(silent, saved), strict=True)
    for loud, quiet in pairs:
        np.testing.assert_allclose(loud, quiet, rtol=same_math(np.float64), atol=VANISHING)


@pytest.mark.rules("routing-R11", "routing-R12", "routing-R2", "routing-R8")
@pytest.mark.parametrize("choice", routing.GRADIENTS)
def test_the_worked_example_holds(choice: str) -> None:
    example = spec_pages.examples("routing")[0]
    history, bilinear, logits, d_capsules = (
        np.array(example[name]) for name in ("history", "bilinear", "init_logits", "d_capsules")
    )
    capsules, saved = routing.forward(
        history[None],
        np.ones((1, len(history)), bool),
        bilinear,
        logits[None],
        np.ones((1, logits.shape[1]), bool),
        iterations=example["iterations"],
        gradient=choice,
    )
    weights = np.array([turn.weights.out[0] for turn in saved.iterations])
    found = [weights, capsules[0], *(d[0] for d in routing.backward(d_capsules[None], saved))]
    found[3] = routing.backward(d_capsules[None], saved)[1]  # S has no axis of users
    names = ("d_history", "d_bilinear", "d_init_logits")
    expected = [example["weights"], example["capsules"], *(example[choice][n] for n in names)]
    for name, x, y in zip(("weights", "capsules", *names), found, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=WORKED_EXAMPLE, err_msg=name)


@pytest.mark.rules("routing-R15")
def test_the_worked_example_of_keyed_logits_matches_the_page() -> None:
    example = spec_pages.examples("routing")[1]
    table = keyed_table(
        example["seed"], example["items"], example["interests"], example["sigma"], "float64"
    )
    np.testing.assert_allclose(table, example["logits"], rtol=0, atol=WORKED_EXAMPLE)
