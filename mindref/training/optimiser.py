"""Adam with row-sparse updates of tables.

Spec: specs/optimiser.md. Source: Kingma and Ba 2015, Algorithm 1, in its efficient form.
Differs: a row of a table that a step does not touch keeps value and moments (lazy moments); the
bias correction counts steps, not touches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from mindref.errors import ShapeError, say
from mindref.ops.embedding import RowGradient
from mindref.shapes import Array, Ints


class State(NamedTuple):
    """Moments under the names of the parameters."""

    step: int
    first: dict[str, Array]
    second: dict[str, Array]


def init(params: Mapping[str, Array]) -> State:
    """Return zero moments for every parameter."""
    first = {name: np.zeros_like(x) for name, x in params.items()}  # optimiser-R8
    second = {name: np.zeros_like(x) for name, x in params.items()}
    return State(0, first, second)


def update(
    params: Mapping[str, Array],
    gradients: Mapping[str, Array | RowGradient],
    state: State,
    *,
    learning_rate: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    dense_rate: float = 1.0,
    dense: bool = False,
) -> State:
    """Take one step of Adam and return the new state.

    params and the moments are changed in place, because copies of tables would cost more than the
    step. A gradient may be row-sparse; other rows keep their values and moments, unless `dense`.
    All other gradients have the learning rate `dense_rate` times `learning_rate`.
    Raises ShapeError for a gradient with an unknown name, another shape or a repeated row. Then
    nothing is changed.
    """
    for name, gradient in gradients.items():
        check_parameter_gradient(name, params, gradient)
    step = int(state.step) + 1  # optimiser-R2: steps, not touches of a row
    beta1, beta2, epsilon = float(beta1), float(beta2), float(epsilon)
    root = math.sqrt(1 - beta2**step)  # optimiser-R13: a Python float keeps the dtype of arrays
    for name, gradient in gradients.items():
        factor = 1.0 if isinstance(gradient, RowGradient) else dense_rate  # optimiser-R22
        rate = float(learning_rate * factor * root / (1 - beta1**step))  # optimiser-R3
        if dense and isinstance(gradient, RowGradient):
            gradient = gradient.dense(len(params[name]))  # optimiser-R21
        rows, g = gradient_rows(gradient)
        first, second = state.first[name], state.second[name]
        m = beta1 * first[rows] + (1 - beta1) * g  # optimiser-R1
        v = beta2 * second[rows] + (1 - beta2) * (g * g)  # optimiser-R1
        first[rows], second[rows] = m, v
        params[name][rows] -= rate * m / (np.sqrt(v) + epsilon * root)  # optimiser-R4
    return State(step, state.first, state.second)


def gradient_rows(gradient: Array | RowGradient) -> tuple[Ints | slice, Array]:
    """Return the rows of a gradient (all rows if it is dense) and their gradients."""
    if isinstance(gradient, RowGradient):
        return gradient.rows, gradient.values  # optimiser-R5, R6
    return slice(None), gradient  # optimiser-R7


def check_parameter_gradient(
    name: str, params: Mapping[str, Array], gradient: Array | RowGradient
) -> None:
    """Raise ShapeError for a gradient that does not match its parameter."""
    if name not in params:  # optimiser-R10
        raise ShapeError(say("optimiser", f"a gradient of {', '.join(params)}", name))
    shape = params[name].shape
    if isinstance(gradient, RowGradient):
        if (gradient.rows[1:] <= gradient.rows[:-1]).any():  # optimiser-R12
            raise ShapeError(say(f"optimiser: rows of {name}", "each once, ascending", "repeats"))
        shape, got = (len(gradient.rows), *shape[1:]), gradient.values.shape
    else:
        got = gradient.shape
    if got != shape:  # optimiser-R11: NumPy would broadcast it silently
        raise ShapeError(say(f"optimiser: gradient of {name}", f"shape {shape}", got))


def learning_rate(initial: float, decay: str, step: float, steps: int) -> float:
    """Return the rate after `step` of `steps` steps.

    decay "none": constant; "linear": from `initial` linearly to zero at `steps`. With a limit of
    time, step is the fraction of the time that has passed, and steps is 1.
    """
    return initial * (1 - step / steps) if decay == "linear" else initial  # optimiser-R9
