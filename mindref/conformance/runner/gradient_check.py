"""Compare the gradients of a backend with central differences of the backend's forward.

The comparison does not use the reference, so it can show that a gradient of the reference is wrong.
It needs float64, because a central difference in float32 has too few digits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.conformance import gradient
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.context import CheckContext
from mindref.conformance.runner.result import CheckFailed


def assert_gradients_follow(
    context: CheckContext, call: Call, *, step: float = gradient.STEP
) -> None:
    """Compare every gradient of the call with central differences of the backend's forward.

    `call` itself runs first, because the suite later compares the first answer with the reference.
    In dtypes other than float64, no gradient is compared.
    """
    context.run(call)
    if context.precision.input != "float64":
        return
    names = call.differentiable

    def forward(*arrays: Any) -> Any:
        moved = call.change(**dict(zip(names, arrays, strict=True)))
        return context.run(moved.forward_only())["out"]

    def backward(cotangent: Any) -> list[Any]:
        got = context.run(call.change(cotangent=np.asarray(cotangent)))
        return [got[f"d_{name}"] for name in names]

    assert_matches_differences(context, forward, backward, [call.arrays[n] for n in names], step)


def assert_matches_differences(
    context: CheckContext, function: Any, slopes: Any, inputs: list[Any], step: float
) -> None:
    """Require that the gradients from `slopes` match central differences of `function`."""
    try:
        gradient.check_gradient(function, slopes, inputs, context.rng, step=step)
    except CheckFailed:
        raise
    except AssertionError as error:
        raise CheckFailed(str(error), context.evidence()) from error
