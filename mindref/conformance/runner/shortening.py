"""Find the smallest size of a long axis at which an answer is wrong.

Spec: specs/conformance.md. The axis of the call is shortened by bisection.
"""

from __future__ import annotations

from mindref.conformance.runner.call import AnyArray, Call, map_arrays
from mindref.conformance.runner.context import CheckContext
from mindref.conformance.runner.result import CheckFailed, CommonRuleFailed

ITERATIONS = "iterations"
"""In place of an axis letter: the number of iterations of routing."""

SHORT = 8
"""Drawn calls have at most this size. A call that is wrong at this size is not shortened."""


def shorten_axis(call: Call, axis: str, long: int, size: int) -> Call:
    """Return `call` with the first `size` of the `long` numbers along the long axis."""
    if axis == ITERATIONS:
        return call.change(iterations=size)

    def cut(x: AnyArray) -> AnyArray:
        return x[tuple(slice(size if n == long else n) for n in x.shape)]

    short = call._replace(
        arrays=map_arrays(cut, call.arrays), cotangent=map_arrays(cut, call.cotangent)
    )
    if axis == "V":  # rows of the shorter table
        short = short.change(rows=call.arrays["rows"] % size)
    return short


def matches_at_all_sizes(axis: str, long: int, context: CheckContext, call: Call) -> None:
    """Compare the answer to `call`. If it is wrong, find the smallest size that is wrong."""
    try:
        context.assert_agrees(call)
    except CommonRuleFailed:
        raise
    except CheckFailed as failure:
        raise smallest_failure(axis, long, context, call, failure) from failure


def smallest_failure(
    axis: str, long: int, context: CheckContext, call: Call, failure: CheckFailed
) -> CheckFailed:
    """Return the failure of the smallest wrong size, found by bisection.

    Sizes above the smallest wrong one may be right, such as multiples of the size of a block.
    """
    if failure_at(context, shorten_axis(call, axis, long, SHORT)) is not None:
        return failure
    right, wrong = SHORT, long
    while wrong - right > 1:
        middle = (right + wrong) // 2
        shorter = failure_at(context, shorten_axis(call, axis, long, middle))
        if shorter is None:
            right = middle
        else:
            wrong, failure = middle, shorter
    message = f"{failure}; right at {axis} = {right}, wrong at {axis} = {wrong}"  # conformance-R19
    return CheckFailed(message, failure.evidence)


def failure_at(context: CheckContext, call: Call) -> CheckFailed | None:
    """Return the failure of a single call in a new context, or None if the answer is right."""
    try:
        CheckContext(context.implementation, context.precision, 0, context.factor).assert_agrees(
            call
        )
    except CheckFailed as failure:
        return failure
    return None
