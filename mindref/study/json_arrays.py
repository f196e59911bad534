"""Numbers and arrays as JSON values, without loss of precision."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def array_to_json(x: npt.NDArray[Any], axes: Sequence[str]) -> dict[str, Any]:
    """Return an array as in a trace: axis names, shape, dtype, little-endian bytes in base64."""
    flat = np.ascontiguousarray(x)
    flat = flat.astype(flat.dtype.newbyteorder("<"), copy=False)
    data = base64.b64encode(flat.tobytes()).decode("ascii")
    return {"axes": list(axes), "shape": list(x.shape), "dtype": x.dtype.name, "data": data}


def number_to_json(x: float) -> float | str:
    """Return a finite number unchanged; a word for infinity and NaN."""
    return float(x) if math.isfinite(x) else {math.inf: "inf", -math.inf: "-inf"}.get(x, "nan")


def numbers_to_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping with every float as `number_to_json` returns it."""
    return {k: number_to_json(v) if isinstance(v, float) else v for k, v in values.items()}
