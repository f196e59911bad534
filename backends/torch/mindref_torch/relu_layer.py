"""An affine map of rows, with or without the rectifier. Spec: specs/relu_layer.md."""

from __future__ import annotations

import torch
from torch import Tensor

from mindref_torch.checks import bind, same_float
from mindref_torch.narrow import in_float32


@in_float32
def relu_layer(x: Tensor, weight: Tensor, bias: Tensor, *, relu: bool) -> Tensor:
    """Map x (M, I) with weight (I, O) and bias (O,) to (M, O), rectified with `relu`.

    The slope at zero is zero. Raises ShapeError for shapes and types that do not fit.
    """
    bind("relu_layer", x=(x, "MI"), weight=(weight, "IO"), bias=(bias, "O"))  # relu_layer-R5
    same_float("relu_layer", x=x, weight=weight, bias=bias)  # relu_layer-R6
    out = torch.addmm(bias, x, weight)  # relu_layer-R1
    return torch.relu(out) if relu else out  # relu_layer-R2, R3, R7
