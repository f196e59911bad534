"""bfloat16 as a type of what is stored: operators compute in float32 and round their results once.

Spec: specs/numerics.md. PyTorch differentiates through both conversions, so a gradient is added up
in float32 and rounded once, too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import Tensor

Operator = TypeVar("Operator", bound=Callable[..., Any])


def in_float32(operator: Operator) -> Operator:
    """Let an operator take tensors of bfloat16, if all that are floats are (numerics-R1)."""

    @wraps(operator)
    def widened(*tensors: Any, **numbers: Any) -> Any:
        if not is_narrow(*tensors):
            return operator(*tensors, **numbers)
        return rounded(operator(*map(wide, tensors), **numbers))

    return widened  # type: ignore[return-value]


def is_narrow(*tensors: Tensor) -> bool:
    """Return whether all tensors of floats among these are of bfloat16, and there is one."""
    types = {x.dtype for x in tensors if x.is_floating_point()}
    return types == {torch.bfloat16}


def wide(x: Tensor) -> Tensor:
    """Return a tensor of bfloat16 in float32, and any other as it is."""
    return x.float() if x.dtype == torch.bfloat16 else x


def rounded(found: Any) -> Any:
    """Return a result, or several, in bfloat16 (numerics-R2)."""
    return tuple(map(rounded, found)) if isinstance(found, tuple) else found.bfloat16()
