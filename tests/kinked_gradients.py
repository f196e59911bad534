"""Gradient checks of functions with kinks: rectifiers, choices of a largest, powers at zero."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import assume

from mindref.conformance import gradient
from mindref.shapes import Array


def check(
    function: Callable[..., tuple[Array, list[Any]]],
    backward: Callable[[Array], Sequence[Array]],
    inputs: Sequence[Array],
    rng: np.random.Generator,
) -> None:
    """As `gradient.check_gradient`, for a function that also returns its side of each kink.

    Where the sides change along the way the difference quotient mixes two slopes: such an example
    is rejected, and Hypothesis fails a test that rejects too many.
    """
    seen = set()

    def watched(*moved):
        out, sides = function(*moved)
        seen.add(b"".join(np.asarray(side).tobytes() for side in sides))
        return out

    try:
        gradient.check_gradient(watched, backward, inputs, rng, step=gradient.SHORT_STEP)
    except AssertionError:
        assume(len(seen) == 1)
        raise
