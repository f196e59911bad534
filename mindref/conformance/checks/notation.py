"""Checks of the shapes of every operator. Spec: specs/notation.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from mindref.conformance.checks.routing.agreement import routing_calls
from mindref.conformance.draws.operators import for_each_operator
from mindref.conformance.operators import ARGUMENTS
from mindref.conformance.runner.call import AnyArray, Call
from mindref.conformance.runner.check import add_check
from mindref.conformance.runner.context import CheckContext

NOT_OBSERVED = {
    "notation-R3": "the backend contract does not define the messages of errors",
    "notation-R6": "a backend that breaks the rule fails every check of the operator",
    "notation-R7": "a backend that breaks the rule fails every gradient check",
}

WITH_AXES = tuple(stem for stem, arguments in ARGUMENTS.items() if arguments.axes)
"""Operators whose arrays have fixed axes; softmax and squash accept any axes."""


@for_each_operator("notation-R1", stems=WITH_AXES)
def disagreeing_axes_raise(context: CheckContext, call: Call) -> None:
    """Axes with the same letter but different sizes must raise an error, even if one size is 1."""
    context.run(call)
    for wrong in calls_with_wrong_axis(call):
        context.assert_raises(wrong)


@for_each_operator("notation-R2", stems=WITH_AXES)
def wrong_number_of_axes_raises(context: CheckContext, call: Call) -> None:
    """An array with one axis too many or too few must raise an error."""
    context.run(call)
    for name, x in call.arrays.items():
        context.assert_raises(call.change(**{name: x[None]}))
        if len(x):
            context.assert_raises(call.change(**{name: np.asarray(x[0])}))


@for_each_operator("notation-R4", gradient=True)
def gradient_has_the_shape_of_its_argument(context: CheckContext, call: Call) -> None:
    """Every gradient must have the shape of its argument."""
    got = context.run(call)
    for name in call.differentiable:
        shape, expected = got[f"d_{name}"].shape, call.arrays[name].shape
        context.assert_true(shape == expected, f"d_{name} has shape {shape}, expected {expected}")


@add_check(
    "notation-R4", "routing-R25", draws=routing_calls(general=True), stem="routing", gradient=True
)
def gradient_of_general_matrices_has_their_shape(context: CheckContext, call: Call) -> None:
    """With one matrix S per position and interest, gradients must have the shapes of the inputs."""
    gradient_has_the_shape_of_its_argument(context, call)


def calls_with_wrong_axis(call: Call) -> Iterator[Call]:
    """Yield changed calls in which two axes with the same letter differ in size."""
    axes = ARGUMENTS[call.stem].axes
    words = {name: axes[name][-x.ndim :] for name, x in call.arrays.items()}
    counts = Counter("".join(words.values()))
    for name, word in words.items():
        for axis, letter in enumerate(word):
            x = call.arrays[name]
            for size in {x.shape[axis] + 1, 1} - {x.shape[axis]}:
                if counts[letter] > 1:
                    yield call.change(**{name: resize_axis(x, axis, size)})


def resize_axis(x: AnyArray, axis: int, size: int) -> AnyArray:
    """Cut or extend x to `size` entries along `axis`. New entries repeat the last one, or are 0."""
    if x.shape[axis] == 0:
        return np.zeros([*x.shape[:axis], size, *x.shape[axis + 1 :]], x.dtype)
    return np.take(x, np.minimum(np.arange(size), x.shape[axis] - 1), axis=axis)
