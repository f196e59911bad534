"""Checks of the gradients of routing. Spec: specs/routing.md.

Gradients are tested by number of iterations and by input, so that a report locates the mistake.
"""

from __future__ import annotations

import numpy as np

from mindref.conformance.checks.routing.agreement import routing_calls
from mindref.conformance.checks.routing.properties import (
    assert_close_twice,
    logits_before_last_iteration,
)
from mindref.conformance.draws.axes import select_axis
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.check import add_check
from mindref.conformance.runner.context import CheckContext
from mindref.conformance.runner.gradient_check import assert_gradients_follow
from mindref.conformance.runner.reference import ExpectedArray

INPUTS = ("d_history", "d_bilinear")


@add_check("routing-R12", draws=routing_calls(gradients=("last",)), stem="routing", gradient=True)
def gradient_last_gives_zero_logit_gradient(context: CheckContext, call: Call) -> None:
    """With gradient="last", the gradient of the initial logits must be exactly 0."""
    context.assert_exact(context.run(call), "d_init_logits", 0)


@add_check("routing-R12", draws=routing_calls(gradients=("last",)), stem="routing", gradient=True)
def gradient_last_differentiates_one_iteration(context: CheckContext, call: Call) -> None:
    """With gradient="last", gradients must be those of one iteration from the last logits."""
    got = context.run(call)
    logits = logits_before_last_iteration(context, call.forward_only())
    last = context.run(call.change(init_logits=logits, iterations=1))
    assert_close_twice(context, got, last, *INPUTS)


@add_check("routing-R12", draws=routing_calls(iterations=(1,)), stem="routing", gradient=True)
def gradients_all_and_last_agree_for_one_iteration(context: CheckContext, call: Call) -> None:
    """With one iteration, gradient="all" and gradient="last" must agree."""
    last, through_all = (context.run(call.change(gradient=g)) for g in ("last", "all"))
    context.assert_same(last, through_all, *INPUTS)


@add_check("routing-R11", draws=routing_calls(gradients=("all",)), stem="routing", gradient=True)
def logit_gradients_of_a_behaviour_sum_to_zero(context: CheckContext, call: Call) -> None:
    """The gradients of the initial logits of a behaviour must sum to 0."""
    got = context.run(call)
    allowed = context.expected(call)["d_init_logits"].allowed.sum(axis=2)
    sums = got["d_init_logits"].astype(np.float64).sum(axis=2)
    zero = ExpectedArray(np.zeros_like(sums), allowed)
    context.assert_close("d_init_logits, summed,", sums, zero, lambda: 2 * allowed)


@add_check("routing-R11", draws=routing_calls(), stem="routing", gradient=True)
def matrix_gradient_sums_over_users(context: CheckContext, call: Call) -> None:
    """Repeating the users of the batch must double the gradient of the matrix."""
    once = context.run(call)
    twice = context.run(select_axis(call, "b", np.tile(np.arange(len(call.arrays["mask"])), 2)))
    context.assert_same(twice, once, "d_bilinear", through={"d_bilinear": lambda x: 2 * x})


@add_check(
    "routing-R11",
    draws=routing_calls(iterations=(1, 2, 3), gradients=("all",)),
    stem="routing",
    gradient=True,
    fraction=0.3,
)
def routing_gradients_match_finite_differences(context: CheckContext, call: Call) -> None:
    """The gradients must match central differences of the backend's own forward (float64)."""
    history = call.arrays["history"]
    largest = np.max(np.abs(history), where=call.arrays["mask"][..., None], initial=1)
    assert_gradients_follow(context, call.change(history=(history / largest).astype(call.dtype)))


@add_check(
    "routing-R11",
    draws=routing_calls(iterations=(1,), gradients=("all",)),
    stem="routing",
    gradient=True,
    agreement=True,
)
def one_iteration_history_gradient_matches(context: CheckContext, call: Call) -> None:
    """Through one iteration, d_history must match the reference."""
    context.assert_agrees(call, "d_history")


@add_check(
    "routing-R11",
    draws=routing_calls(iterations=(1,), gradients=("all",)),
    stem="routing",
    gradient=True,
    agreement=True,
)
def one_iteration_matrix_gradient_matches(context: CheckContext, call: Call) -> None:
    """Through one iteration, d_bilinear must match the reference."""
    context.assert_agrees(call, "d_bilinear")


@add_check(
    "routing-R11",
    draws=routing_calls(iterations=(1,), gradients=("all",)),
    stem="routing",
    gradient=True,
    agreement=True,
)
def one_iteration_logit_gradient_matches(context: CheckContext, call: Call) -> None:
    """Through one iteration, d_init_logits must match the reference."""
    context.assert_agrees(call, "d_init_logits")


@add_check(
    "routing-R11",
    draws=routing_calls(iterations=(2,), gradients=("all",)),
    stem="routing",
    gradient=True,
    agreement=True,
)
def two_iterations_history_gradient_matches(context: CheckContext, call: Call) -> None:
    """Through two iterations, d_history must match the reference."""
    context.assert_agrees(call, "d_history")


@add_check(
    "routing-R11",
    draws=routing_calls(iterations=(2,), gradients=("all",)),
    stem="routing",
    gradient=True,
    agreement=True,
)
def two_iterations_matrix_gradient_matches(context: CheckContext, call: Call) -> None:
    """Through two iterations, d_bilinear must match the reference."""
    context.assert_agrees(call, "d_bilinear")


@add_check(
    "routing-R11",
    draws=routing_calls(iterations=(2,), gradients=("all",)),
    stem="routing",
    gradient=True,
    agreement=True,
)
def two_iterations_logit_gradient_matches(context: CheckContext, call: Call) -> None:
    """Through two iterations, d_init_logits must match the reference."""
    context.assert_agrees(call, "d_init_logits")


@add_check(
    "routing-R11",
    draws=routing_calls(iterations=(3, 4, 5), gradients=("all",)),
    stem="routing",
    gradient=True,
    agreement=True,
)
def many_iterations_history_gradient_matches(context: CheckContext, call: Call) -> None:
    """Through three to five iterations, d_history must match the reference."""
    context.assert_agrees(call, "d_history")


@add_check(
    "routing-R11",
    draws=routing_calls(iterations=(3, 4, 5), gradients=("all",)),
    stem="routing",
    gradient=True,
    agreement=True,
)
def many_iterations_matrix_gradient_matches(context: CheckContext, call: Call) -> None:
    """Through three to five iterations, d_bilinear must match the reference."""
    context.assert_agrees(call, "d_bilinear")


@add_check(
    "routing-R11",
    draws=routing_calls(iterations=(3, 4, 5), gradients=("all",)),
    stem="routing",
    gradient=True,
    agreement=True,
)
def many_iterations_logit_gradient_matches(context: CheckContext, call: Call) -> None:
    """Through three to five iterations, d_init_logits must match the reference."""
    context.assert_agrees(call, "d_init_logits")


@add_check(
    "routing-R12",
    draws=routing_calls(gradients=("last",)),
    stem="routing",
    gradient=True,
    agreement=True,
)
def gradient_last_history_gradient_matches(context: CheckContext, call: Call) -> None:
    """With gradient="last", d_history must match the reference."""
    context.assert_agrees(call, "d_history")


@add_check(
    "routing-R12",
    draws=routing_calls(gradients=("last",)),
    stem="routing",
    gradient=True,
    agreement=True,
)
def gradient_last_matrix_gradient_matches(context: CheckContext, call: Call) -> None:
    """With gradient="last", d_bilinear must match the reference."""
    context.assert_agrees(call, "d_bilinear")
