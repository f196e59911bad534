"""Calls in small integers, where no dtype rounds and every order of summation agrees."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.conformance.runner.call import Call, map_floats

LARGEST = 4
"""Products of three and sums of hundreds stay far below 2^11, where float16 starts to round."""


def as_small_integers(call: Call) -> Call:
    """Return the call with every float rounded to an integer from -4 to 4."""
    arrays = map_floats(round_to_small, call.arrays)
    return call._replace(arrays=arrays, cotangent=map_floats(round_to_small, call.cotangent))


def round_to_small(x: Any) -> Any:
    """Return doubled numbers, rounded and clipped to small integers of the same dtype."""
    return np.clip(np.rint(2 * x), -LARGEST, LARGEST).astype(x.dtype)
