"""The gradients of routing: all iterations, the last one, and the worked examples of the page."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mindref.conformance import gradient
from mindref.conformance.strategies import RoutingCase, generators, routing_cases
from mindref.conformance.tolerances import SAME_MATH
from mindref.models.logits import keyed_table
from mindref.ops import routing, squash
from mindref.ops.votes import sum_votes
from tests import naive, spec_pages
from tests.assertions import assert_close, assert_example
from tests.ops.routing_calls import (
    CHOICES,
    WEIGHTED,
    run,
)

EACH_OPTION = pytest.mark.parametrize(
    ("axis", "kind", "general"),
    [
        (axis, kind, general)
        for axis in routing.AXES
        for kind in squash.KINDS
        for general in (False, True)
    ],
)
ITERATIONS = st.integers(1, 4)
# a direction turns the faster the shorter its vector is
STEPS = {"squash": gradient.STEP, "none": gradient.STEP, "unit": gradient.SHORT_STEP}


def smooth(saved, kind):
    """Return whether no sum is near zero, where squash bends; at zero itself it stays zero."""
    sums = [
        sum_votes(routing.apply_factors(iteration.weights.out, saved.factors), saved.votes)
        for iteration in saved.iterations
    ]
    lengths, least = np.linalg.norm(sums, axis=-1), 0.3 if kind == "unit" else 0.03
    return bool(np.min(np.where(lengths > 0, lengths, 1), initial=1) > least)


@EACH_OPTION
@WEIGHTED
@pytest.mark.rules(
    "routing-R9", "routing-R11", "routing-R25", "routing-R27", "routing-R28", "routing-R35"
)
@given(data=st.data(), iterations=ITERATIONS, rng=generators())
@pytest.mark.slow(every=3)
def test_all_is_the_derivative_of_routing(weighted, axis, kind, general, data, iterations, rng):
    case = data.draw(routing_cases(general=general))
    numbers = {"iterations": iterations, "gradient": "all", "axis": axis, "kind": kind}
    weights = [normal_half(rng, case)] if weighted else []
    _, saved = run(case, *weights, **numbers)
    assume(smooth(saved, kind))

    def forward(history, bilinear, logits, *weights):
        moved = RoutingCase(history, case.mask, bilinear, logits, case.active)
        capsules = run(moved, *weights, **numbers)[0]
        return capsules

    inputs = (case.history, case.bilinear, case.init_logits, *weights)
    gradient.check_gradient(
        forward, lambda d: routing.backward(d, saved), inputs, rng, step=STEPS[kind]
    )


def normal_half(rng, case):
    return rng.standard_normal(case.init_logits.shape) / 2


@pytest.mark.rules(
    "routing-R11", "routing-R12", "routing-R2", "routing-R8", "routing-R32", "routing-R35",
    "routing-R36",
)  # fmt: skip
@CHOICES
@pytest.mark.parametrize("number", [0, 2], ids=["plain", "weighted"])
def test_the_worked_example_matches_the_page(number, choice):
    example = spec_pages.examples("routing")[number]
    history, bilinear, logits, d_capsules = (
        np.array(example[name], float)
        for name in ("history", "bilinear", "init_logits", "d_capsules")
    )
    log_weights = np.array(example["log_weights"]) if "log_weights" in example else None
    masks = np.ones((1, len(history)), bool), np.ones((1, logits.shape[1]), bool)
    case = RoutingCase(history[None], masks[0], bilinear, logits[None], masks[1])
    weights = None if log_weights is None else log_weights[None]
    iterations = example["iterations"]
    capsules, saved = run(case, weights, iterations=iterations, gradient=choice)
    couplings = np.array([x.weights.out[0] for x in saved.iterations])
    votes = naive.votes_of(history, bilinear)
    loops = naive.capsules(votes, logits, iterations, log_weights=log_weights)
    assert_close(capsules[0], loops[0])
    assert_close(couplings, loops[1])
    got = {"capsules": capsules[0], "weights": couplings, "couplings": couplings[-1]}
    assert_example({name: x for name, x in got.items() if name in example}, example)
    d_history, d_bilinear, *others = routing.backward(d_capsules[None], saved)
    gradients = {"d_history": d_history[0], "d_bilinear": d_bilinear}  # S has no axis of users
    names = ("d_init_logits", "d_log_weights")
    gradients |= {name: x[0] for name, x in zip(names, others, strict=False)}
    assert gradients.keys() == example[choice].keys()
    assert_example(gradients, example[choice])


CONSTANT_WEIGHTS = {
    "one iteration": {"iterations": 1},
    "one active interest": {"active": 1},
    "one behaviour": {"length": 1, "axis": "behaviours"},
    "equal logits": {"sigma": 0.0},
}
"""Calls whose coupling weights of the last iteration do not depend on history and bilinear."""


@pytest.mark.rules("routing-R11", "routing-R12")
@pytest.mark.parametrize("changes", CONSTANT_WEIGHTS.values(), ids=CONSTANT_WEIGHTS)
def test_both_gradients_agree_where_the_coupling_weights_are_constant(changes):
    """The cases that the page lists. Any other call of this kind has two gradients."""
    bound = SAME_MATH[np.dtype(np.float64)]
    for agree, options in ((True, changes), (False, {})):
        of_all, of_last = (both_gradients(choice, **options) for choice in routing.GRADIENTS)
        for every, last in zip(of_all, of_last, strict=True):
            assert np.allclose(every, last, rtol=bound, atol=bound) == agree


def both_gradients(choice, *, iterations=3, active=3, length=5, axis="interests", sigma=1.0):
    """Return d_history and d_bilinear of a call with the same log weights for all interests."""
    rng = np.random.default_rng(0)
    history, bilinear = rng.standard_normal((2, length, 4)), rng.standard_normal((4, 4))
    logits, mask = sigma * rng.standard_normal((2, length, 3)), np.ones((2, length), bool)
    case = RoutingCase(history, mask, bilinear, logits, np.tile(np.arange(3) < active, (2, 1)))
    log_weights = np.repeat(rng.standard_normal((2, length, 1)), 3, axis=2)
    capsules, saved = run(case, log_weights, iterations=iterations, gradient=choice, axis=axis)
    return routing.backward(rng.standard_normal(capsules.shape), saved)[:2]


@pytest.mark.rules("routing-R15")
def test_the_worked_example_of_keyed_logits_matches_the_page():
    example = spec_pages.examples("routing")[1]
    sizes = (example[name] for name in ("seed", "items", "interests", "sigma"))
    assert_example({"logits": keyed_table(*sizes, "float64")}, example)
