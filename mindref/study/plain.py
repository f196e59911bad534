"""Numbers and arrays as JSON holds them, to the last bit."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def array(x: npt.NDArray[Any], axes: Sequence[str]) -> dict[str, Any]:
    """Return an array as the trace holds one: axes by name, shape, type, little-endian base64."""
    flat = np.ascontiguousarray(x)
    flat = flat.astype(flat.dtype.newbyteorder("<"), copy=False)
    data = base64.b64encode(flat.tobytes()).decode("ascii")
    return {"axes": list(axes), "shape": list(x.shape), "dtype": x.dtype.name, "data": data}


def number(x: float) -> float | str:
    """Return a number as it is; a word for those that JSON does not have."""
    return float(x) if math.isfinite(x) else {math.inf: "inf", -math.inf: "-inf"}.get(x, "nan")
