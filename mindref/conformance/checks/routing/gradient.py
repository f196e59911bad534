"""Checks of the gradients of routing. Spec: specs/routing.md."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from mindref.conformance.checks.routing.agreement import GRADIENTS, ITERATIONS, routing_calls
from mindref.conformance.checks.routing.properties import assert_equals_last_iteration
from mindref.conformance.draws.call_changes import select_axis
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.check import add_check, agreement_run, name_run
from mindref.conformance.runner.context import CheckContext
from mindref.conformance.runner.gradient_check import assert_gradients_follow

INPUTS = ("d_history", "d_bilinear")
LAST = routing_calls(gradients=("last",))


def exact_calls(*iterations: int) -> st.SearchStrategy[Call]:
    """Draw calls with gradient="all" and one of `iterations` (default: one of `ITERATIONS`)."""
    return routing_calls(iterations=iterations or ITERATIONS, gradients=("all",))


@add_check("routing-R12", draws=LAST, gradient=True)
def gradient_last_gives_zero_logit_gradient(context: CheckContext, call: Call) -> None:
    """With gradient="last", the gradient of the initial logits must be exactly 0."""
    context.assert_exact(context.run(call), "d_init_logits", 0)


@add_check("routing-R12", draws=LAST, gradient=True)
def gradient_last_differentiates_one_iteration(context: CheckContext, call: Call) -> None:
    """With gradient="last", running only the last iteration must give the same gradients."""
    assert_equals_last_iteration(context, call, *INPUTS)


@add_check("routing-R12", draws=routing_calls(iterations=(1,)), gradient=True)
def gradients_all_and_last_agree_for_one_iteration(context: CheckContext, call: Call) -> None:
    """With one iteration, gradient="all" and "last" must give equal d_history and d_bilinear."""
    assert_all_equals_last(context, call, *INPUTS)


def assert_all_equals_last(context: CheckContext, call: Call, *parts: str) -> None:
    """Require that the gradients named `parts` are equal for gradient="all" and "last"."""
    last, through_all = (context.run(call.change(gradient=g)) for g in GRADIENTS)
    context.assert_same(last, through_all, *parts)


@add_check("routing-R11", draws=exact_calls(), gradient=True)
def logit_gradients_of_a_behaviour_sum_to_zero(context: CheckContext, call: Call) -> None:
    """The gradients of a behaviour's initial logits must sum to 0 over the interests."""
    got = context.run(call)
    allowed = context.expected(call)["d_init_logits"].allowed.sum(axis=2)
    sums = got["d_init_logits"].astype(np.float64).sum(axis=2)
    context.assert_within("d_init_logits, summed,", sums, np.zeros_like(sums), allowed)


@add_check("routing-R11", draws=routing_calls(), gradient=True)
def matrix_gradient_sums_over_users(context: CheckContext, call: Call) -> None:
    """If every user of the batch occurs twice, the gradient of the matrix S must double."""
    once = context.run(call)
    twice = context.run(select_axis(call, "b", np.tile(np.arange(len(call.arrays["mask"])), 2)))
    context.assert_same(twice, once, "d_bilinear", through={"d_bilinear": lambda x: 2 * x})


@add_check("routing-R11", draws=exact_calls(1, 2, 3), gradient=True, fraction=0.3)
def routing_gradients_match_finite_differences(context: CheckContext, call: Call) -> None:
    """In float64, the gradients must match central differences of the backend's forward."""
    assert_normalised_gradients_follow(context, call)


def assert_normalised_gradients_follow(context: CheckContext, call: Call) -> None:
    """Scale behaviours to entries of at most 1; compare gradients with central differences."""
    history = call.arrays["history"]
    largest = np.max(np.abs(history), where=call.arrays["mask"][..., None], initial=1)
    assert_gradients_follow(context, call.change(history=(history / largest).astype(call.dtype)))


def add_gradient_checks(name: str, condition: str, draws: st.SearchStrategy[Call]) -> None:
    """For each gradient that is not always 0, register a check that it matches the reference."""
    parts = {"history": "d_history", "matrix": "d_bilinear", "logit": "d_init_logits"}
    if draws is LAST:
        del parts["logit"]
    for noun, part in parts.items():
        text = f"{condition}, {part} must match the reference."
        run = name_run(agreement_run(part), __name__, f"{name}_{noun}_gradient_matches", text)
        rule = "routing-R12" if draws is LAST else "routing-R11"
        add_check(rule, draws=draws, gradient=True, agreement=True)(run)


add_gradient_checks("one_iteration", "With one iteration", exact_calls(1))
add_gradient_checks("two_iterations", "With two iterations", exact_calls(2))
add_gradient_checks("many_iterations", "With three to five iterations", exact_calls(3, 4, 5))
add_gradient_checks("gradient_last", 'With gradient="last"', LAST)
