"""Compare a gradient with a central difference along one random direction, in float64.

The output is multiplied by a random cotangent (`d_out`) and summed to one number. The derivative of
this number, from the gradient, must equal the central difference. A cotangent of ones would not
detect a wrong factor in the gradient of a softmax, because the sum of a softmax is constant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mindref.conformance.tolerances import GRADIENT
from mindref.shapes import Array

STEP = 4e-3  # norm of the step of all inputs; tolerances.GRADIENT explains the value
SHORT_STEP = 1e-3  # for functions with kinks: a short step crosses a kink less often


def check_gradient(
    function: Callable[..., Array],
    gradient: Callable[[Array], Sequence[Array]],
    inputs: Sequence[Array],
    rng: np.random.Generator,
    *,
    step: float = STEP,
    tolerance: float = GRADIENT,
) -> None:
    """Raise AssertionError unless `gradient(cotangent)` is the derivative of `function(*inputs)`.

    `function` returns one array. `gradient` takes a cotangent in the shape of this array and
    returns one gradient for each input. All arrays are float64.
    """
    out = np.asarray(function(*inputs))
    cotangent = rng.standard_normal(out.shape)  # numerics-R12
    directions = [rng.standard_normal(x.shape) for x in inputs]
    length = np.sqrt(sum(np.sum(v * v) for v in directions))
    directions = [v / length for v in directions]
    gradients = gradient(cotangent)
    for x, d_x in zip(inputs, gradients, strict=True):
        wrong = f"gradient of shape {d_x.shape} for an input of {x.shape}"
        assert x.shape == d_x.shape, wrong  # notation-R4

    def along(t: float) -> float:
        moved = [x + t * direction for x, direction in zip(inputs, directions, strict=True)]
        return float(np.sum(cotangent * function(*moved)))

    def central(h: float) -> float:
        return (along(h) - along(-h)) / (2 * h)

    parts = [float(np.sum(d * v)) for d, v in zip(gradients, directions, strict=True)]
    analytic = sum(parts)
    # A function with large curvature needs a shorter step. With a quarter of `step`, the error of
    # a correct gradient almost vanishes, and the error of a wrong gradient stays the same.
    for h in (step, step / 4):
        numeric = romberg(central(h), central(h / 2), central(h / 4))
        scale = max(abs(numeric), sum(abs(part) for part in parts), 1e-4)
        error = abs(numeric - analytic) / scale
        if error <= tolerance:
            break
    assert error <= tolerance, (  # numerics-R11
        f"gradient {analytic!r} against central difference {numeric!r}: relative error {error:.2e}"
        f" above {tolerance:.0e}; parts by input {parts}"
    )


def romberg(coarse: float, middle: float, fine: float) -> float:
    """Extrapolate differences with steps h, h / 2 and h / 4; the error is of order h^6."""
    first, second = (4 * middle - coarse) / 3, (4 * fine - middle) / 3
    return (16 * second - first) / 15
