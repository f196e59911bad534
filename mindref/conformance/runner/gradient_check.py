"""Compare the gradients of a backend with central differences of the backend's forward.

The reference is not used, so a wrong gradient of the reference is found, too. The comparison needs
float64, because a central difference in float32 has too few digits.
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
    """Compare every gradient of `call` with central differences of the backend's forward.

    The unchanged `call` runs first, because the suite compares the first answer with the reference.
    If the dtype is not float64, only this first call runs.
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
    """Raise CheckFailed unless `slopes(cotangent)` matches central differences of `function`."""
    try:
        gradient.check_gradient(function, slopes, inputs, context.rng, step=step)
    except CheckFailed:
        raise
    except AssertionError as error:
        text = str(error).partition("\n")[0]  # pytest may append the asserted expression
        raise CheckFailed(text, context.evidence()) from error
