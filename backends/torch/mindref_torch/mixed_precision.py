"""bfloat16 storage: operators compute in float32 and round each result once.

Spec: specs/numerics.md. PyTorch differentiates both conversions. Therefore a gradient is also
summed in float32 and rounded once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import Tensor

Function = TypeVar("Function", bound=Callable[..., Any])


def compute_in_float32(function: Function) -> Function:
    """Return an operator that also accepts tensors that are all bfloat16 (numerics-R1)."""

    @wraps(function)
    def wrapper(*tensors: Any, **numbers: Any) -> Any:
        if not is_bfloat16(*(x for x in tensors if x is not None)):  # an optional tensor
            return function(*tensors, **numbers)
        return round_to_bfloat16(function(*map(to_float32, tensors), **numbers))

    return wrapper  # type: ignore[return-value]


def is_bfloat16(*tensors: Tensor) -> bool:
    """Return whether all floating tensors are bfloat16, and at least one tensor is floating."""
    dtypes = {x.dtype for x in tensors if x.is_floating_point()}
    return dtypes == {torch.bfloat16}


def to_float32(x: Any) -> Any:
    """Return a bfloat16 tensor as float32, and any other tensor or None unchanged."""
    return x.float() if x is not None and x.dtype == torch.bfloat16 else x


def round_to_bfloat16(result: Any) -> Any:
    """Return a tensor or a tuple of tensors in bfloat16 (numerics-R2)."""
    return tuple(map(round_to_bfloat16, result)) if isinstance(result, tuple) else result.bfloat16()
