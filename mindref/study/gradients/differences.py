"""Centred finite differences of the loss with respect to any number of the computation.

Spec: specs/model.md. The difference is (loss(x + h) - loss(x - h)) / 2h in float64. Inputs are
changed in `mindref.models.mind.loss`; intermediate numbers are changed in the unrolled pass
(unrolled.py). With routing_gradient="last" the gradient treats the last coupling weights as
constant; the differences then do so too. A ReLU or an argmax has kinks, where the loss has no
derivative; h is reduced until no kink lies between x - h and x + h.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mindref.errors import ConfigError, say
from mindref.models import mind
from mindref.models.parameters import flatten
from mindref.shapes import Array
from mindref.study.gradients import unrolled
from mindref.study.suggest import suggest_names

if TYPE_CHECKING:
    from mindref.study.tracing import TrainingPair

STEP = {"float64": 1e-5, "float32": 1e-2}
"""The step h of each dtype, near the cube root of its precision: rounding error (precision / h)
and truncation error (h^2) are then similar."""

SMALLEST_STEP = 1e-8
"""The smallest step; a kink within it is ignored."""

PERTURBED = {
    "d_t": "t.loss",
    "d_query": "query",
    "d_target": "t",
    "d_o": "o.product",
    "d_o_t": "o_t.product",
}
"""Gradients whose name is not "d_" plus the name of the changed tensor."""

RELATIVE_ERROR_FLOOR = 1e-8
"""The smallest denominator of a relative error."""


class FiniteDifference(NamedTuple):
    """The derivative of the loss with respect to one number, by finite differences."""

    value: float  # of the number
    difference: float  # (loss(+h) - loss(-h)) / 2h
    step: float  # the h used
    kink: bool  # whether a kink reduced h


def finite_difference(pair: TrainingPair, tensor: str, index: Sequence[int]) -> FiniteDifference:
    """Return the centred difference of the loss with respect to one entry of a tensor.

    tensor: a name of the trace ("S", "w[2]") or of unrolled.py. Raises ConfigError for a tensor
    without influence on the loss and for an index outside the tensor.
    """
    array = find_array(pair, tensor, index)
    frozen = pair.config.routing_gradient == "last"  # the last coupling weights are constant
    if tensor in input_arrays(pair) and not frozen:
        evaluate = loss_evaluator(pair, tensor, index)
    else:
        weights = unrolled.last_coupling_weights(pair) if frozen else None
        evaluate = unrolled_evaluator(pair, tensor, one_hot_array(array, index), index, weights)
    slope, used = smooth_difference(evaluate, STEP["float64"])
    return FiniteDifference(float(array[tuple(index)]), slope, used, used < STEP["float64"])


def perturbed_tensor(gradient: str) -> str:
    """Return the tensor to change for a gradient of the trace: "S" for "d_S".

    Some gradients are of one use of a tensor. Gradients of the logits are with respect to the inner
    products, before the temperature.
    """
    name, bracket, number = gradient.partition("[")
    if name == "from_z":
        return f"Se@z[{number}"
    if name == "from_a":
        return f"Se@b[{int(number.rstrip(']')) + 1}]"
    return PERTURBED.get(gradient, f"{name.removeprefix('d_')}{bracket}{number}")


def slope_error(closed: float, slope: float) -> float:
    """Return |closed - slope| over the larger of both, at least over `RELATIVE_ERROR_FLOOR`."""
    return abs(closed - slope) / max(abs(closed), abs(slope), RELATIVE_ERROR_FLOOR)


def smooth_difference(
    evaluate: Callable[[float], tuple[float, bytes]], h: float
) -> tuple[float, float]:
    """Return the difference and its step: h, or less if a kink lies within h."""
    while True:
        (up, above), (down, below) = evaluate(h), evaluate(-h)
        if above == below or h <= SMALLEST_STEP:
            return (up - down) / (2 * h), h
        h /= 10


def loss_evaluator(
    pair: TrainingPair, tensor: str, index: Sequence[int]
) -> Callable[[float], tuple[float, bytes]]:
    """Return a function from a change of an input to the loss and the sides of its kinks."""

    def evaluate(by: float) -> tuple[float, bytes]:
        loss, saved = mind.loss(*perturb_input(pair, tensor, index, by))
        return float(loss), kink_sides(saved)

    return evaluate


def unrolled_evaluator(
    pair: TrainingPair, tensor: str, one: Array, index: Sequence[int], weights: Array | None
) -> Callable[[float], tuple[float, bytes]]:
    """Return a function from a change of any number to the loss and the sides of its kinks.

    one: (1, *shape), 1 at the index. weights: constant coupling weights of the last iteration.
    """
    is_input = tensor in input_arrays(pair)

    def evaluate(by: float) -> tuple[float, bytes]:
        plus_sides = perturb_input(pair, tensor, index, by) if is_input else pair
        done = unrolled.forward(plus_sides, {} if is_input else {tensor: by * one}, weights=weights)
        return float(done.losses[0]), done.sides.tobytes()

    return evaluate


def input_arrays(pair: TrainingPair) -> dict[str, Array]:
    """Return the inputs of the loss by name, without the axis of users; the arrays are views."""
    params, batch = pair.params, pair.batch
    arrays = {"S": params.bilinear, "items": params.items, "profile": params.profile}
    for number, layer in enumerate(params.layers, start=1):
        arrays |= {f"W[{number}]": layer.weight, f"bias[{number}]": layer.bias}
    if pair.config.routing == "dynamic":  # model-R12: nothing else reads them
        arrays["b[1]"] = batch.histories.init_logits[0]
    target = batch.target_log_expected[0, ...]  # a view with no axes
    return arrays | {"logq_t": target, "logq": batch.negative_log_expected}


def perturb_input(pair: TrainingPair, name: str, index: Sequence[int], by: float) -> TrainingPair:
    """Return a training pair with `by` added to one number; the argument is unchanged."""
    params, batch, array = pair.params, pair.batch, input_arrays(pair)[name]
    arrays = (*flatten(params).values(), *batch.histories, *batch[1:])
    # deepcopy does not copy the arrays in its memo: all but the one to change
    memo = {id(x): x for x in arrays if not np.may_share_memory(x, array)}
    pair = pair._replace(params=deepcopy(params, memo), batch=deepcopy(batch, memo))
    input_arrays(pair)[name][tuple(index)] += by
    return pair


def kink_sides(saved: Any) -> bytes:
    """Return the side of each kink in a forward pass of the model."""
    passed = [s.passed.tobytes() for s in saved.interests.layers if s.passed is not None]
    attention = saved.attention
    hard = np.isinf(attention.power)
    chosen = attention.weights.out > 0 if hard else attention.scores > 0
    return b"".join(passed) + (chosen.tobytes() if hard or 0 < attention.power < 1 else b"")


def find_array(pair: TrainingPair, tensor: str, index: Sequence[int]) -> Array:
    """Return a tensor by name, without the axis of users; the index must lie within it."""
    arrays = input_arrays(pair)
    if tensor not in arrays:
        arrays |= {name: x[0] for name, x in unrolled.forward(pair, {}).values.items()}
    if tensor not in arrays:
        hint = suggest_names(tensor, arrays)
        raise ConfigError(say("tensor", "a tensor with influence on the loss", tensor, hint))
    shape = arrays[tensor].shape
    if len(index) != len(shape) or not all(0 <= i < n for i, n in zip(index, shape, strict=True)):
        raise ConfigError(say(tensor, f"an index within {shape}", tuple(index)))
    return arrays[tensor]


def one_hot_array(array: Array, index: Sequence[int]) -> Array:
    """Return an array (1, *shape of the tensor): 1 at the index, 0 elsewhere."""
    one = np.zeros((1, *np.shape(array)))
    one[(0, *index)] = 1.0
    return one
