"""Compare a hand-derived gradient with a central difference, by random projection in float64.

All inputs move along one random direction. The sum of output times a random cotangent (`d_out`) is
one number. Its derivative, computed from the gradient, is compared with a central difference. The
cotangent must not be all ones: the sum of a softmax is constant, so a wrong factor would pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mindref.conformance.tolerances import GRADIENT
from mindref.shapes import Array

STEP = 4e-3  # norm of the step, over all inputs; tolerances.GRADIENT explains the value
SHORT_STEP = 1e-3  # for functions with kinks, which a short step crosses less often


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

    `function` maps the inputs to one array. `gradient` maps a cotangent of the shape of this array
    to one gradient for each input, in the order of the inputs. All arrays are float64.
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
    # Where the curvature is large, `step` is too long. With a quarter of `step`, a right gradient
    # has almost no error, and the error of a wrong gradient is unchanged.
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
    """Extrapolate differences with steps h, h / 2, h / 4 to one with an error of order h^6."""
    first, second = (4 * middle - coarse) / 3, (4 * fine - middle) / 3
    return (16 * second - first) / 15
