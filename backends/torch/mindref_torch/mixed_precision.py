"""bfloat16 storage: operators compute in float32 and round each result once.

Spec: specs/numerics.md. PyTorch differentiates both conversions. Therefore a gradient is also
summed in float32 and rounded once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar, cast

import torch
from torch import Tensor

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result", bound=Tensor | tuple[Tensor, ...])


def compute_in_float32(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Return an operator that also accepts tensors that are all bfloat16 (numerics-R1)."""

    @wraps(function)
    def wrapper(*tensors: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        # an optional tensor may be None
        is_rounded = is_bfloat16(*(x for x in tensors if isinstance(x, Tensor)))
        operands = tuple(to_float32(x) for x in tensors) if is_rounded else tensors
        result = cast(Callable[..., Result], function)(*operands, **kwargs)
        return cast(Result, round_to_bfloat16(result)) if is_rounded else result

    return wrapper


def is_bfloat16(*tensors: Tensor) -> bool:
    """Return whether all floating tensors are bfloat16, and at least one tensor is floating."""
    dtypes = {x.dtype for x in tensors if x.is_floating_point()}
    return dtypes == {torch.bfloat16}


def to_float32(x: object) -> object:
    """Return a bfloat16 tensor as float32, and any other tensor or None unchanged."""
    return x.float() if isinstance(x, Tensor) and x.dtype == torch.bfloat16 else x


def round_to_bfloat16(result: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
    """Return a tensor or a tuple of tensors in bfloat16 (numerics-R2)."""
    return tuple(map(round_to_bfloat16, result)) if isinstance(result, tuple) else result.bfloat16()
