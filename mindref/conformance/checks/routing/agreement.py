"""Compare routing with the reference for 1 to 5 iterations, and test invalid arguments.

Spec: specs/routing.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from mindref.conformance.draws.routing_changes import with_garbage
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.check import add_check, add_comparison
from mindref.conformance.runner.context import CheckContext
from mindref.conformance.strategies import (
    Sizes,
    actives,
    distinct_sizes,
    generators,
    masks,
    most_interests,
    most_positions,
    normal,
    read_only,
    share_strategy,
)
from mindref.shapes import Array, Bools

NOT_OBSERVED = {
    "routing-R10": "the operator receives the mask `active`; the checks of the model test K'",
    "routing-R14": "the operator draws no random numbers",
    "routing-R15": "the operator receives the logits as an argument; the model draws them",
    "routing-R16": "the model, not the operator, selects the source of the logits",
    "routing-R17": "the model, not the operator, selects the source of the logits",
    "routing-R18": "the model, not the operator, selects the source of the logits",
}
"""Rule of specs/routing.md that no check of the operator can test -> reason."""

ITERATIONS = (2, 3, 1, 4, 5)
GRADIENTS = ("last", "all")


@share_strategy
@st.composite
def routing_calls(
    draw: st.DrawFn,
    /,
    *,
    iterations: tuple[int, ...] = ITERATIONS,
    gradients: tuple[str, ...] = GRADIENTS,
    general: bool = False,
    weighted: bool = False,
    sizes: Sizes = None,
    **options: Any,
) -> Call:
    """Draw a routing call with padding, inactive interests and a cotangent (d_out).

    If `general`, the call has one matrix S for each position and interest. If `weighted`, the call
    has log weights. `sizes` are B, L, K and D.
    `options` sets the arguments `axis` and `kind` of routing.
    """
    b, l, k, d = sizes or draw(distinct_sizes(4))  # noqa: E741  # letters of specs/notation.md
    rng = draw(generators())
    mask = draw(masks(b, l)) if sizes is None else most_positions(rng, b, l)
    arrays = {
        "history": draw_history(draw, rng, mask, d),
        "mask": mask,
        "bilinear": normal(rng, *((l, k, d, d) if general else (d, d)), scale=d**-0.5),
        "init_logits": normal(rng, b, l, k),
        "active": draw(actives(b, k)) if sizes is None else most_interests(rng, b, k),
    }
    if weighted:
        arrays["log_weights"] = normal(rng, b, l, k)
    numbers: dict[str, Any] = {"iterations": draw(st.sampled_from(iterations))}
    numbers |= {"gradient": draw(st.sampled_from(gradients)), **options}
    return Call("routing", arrays, numbers, normal(rng, b, k, d))


def draw_history(draw: st.DrawFn, rng: np.random.Generator, mask: Bools, width: int) -> Array:
    """Draw behaviours (B, L, D), sometimes with repeated behaviours or with NaN at padding."""
    scale = draw(st.sampled_from((1.0, 2.0, 0.3)))
    history = np.array(normal(rng, *mask.shape, width, scale=scale))
    if draw(st.booleans()):
        history[:, -1] = history[:, 0]
    if draw(st.booleans()):
        history = with_garbage(rng, history, ~mask)
    return read_only(history)


@add_comparison("routing-R5, R3", draws=routing_calls(iterations=(1,)))
def one_iteration_matches_the_reference() -> None:
    """After one iteration from the initial logits, the capsules must match the reference."""


@add_comparison("routing-R5, R8", draws=routing_calls(iterations=(2,)))
def two_iterations_match_the_reference() -> None:
    """After two iterations, the capsules must match the reference."""


@add_comparison("routing-R5, R8", draws=routing_calls(iterations=(3,)))
def three_iterations_match_the_reference() -> None:
    """After three iterations, the capsules must match the reference."""


@add_comparison("routing-R5, R8", draws=routing_calls(iterations=(4, 5)))
def four_and_five_iterations_match_the_reference() -> None:
    """After four or five iterations, the capsules must match the reference."""


@add_check("routing-R29", draws=routing_calls())
def invalid_iterations_raise(context: CheckContext, call: Call) -> None:
    """`iterations` of 0, -1 or 2.5 must raise an error."""
    context.assert_each_raises(call, iterations=(0, -1, 2.5))


@add_check("routing-R30", draws=routing_calls())
def unknown_gradient_raises(context: CheckContext, call: Call) -> None:
    """A `gradient` other than "all" and "last" must raise an error in forward."""
    context.assert_each_raises(call, gradient=("none",))


@add_check("routing-R31", draws=routing_calls(axis="interests"))
def unknown_axis_raises(context: CheckContext, call: Call) -> None:
    """An `axis` other than "interests" and "behaviours" must raise an error."""
    context.assert_each_raises(call, axis=("users",))
