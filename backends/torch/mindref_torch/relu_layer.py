"""Affine layer with optional ReLU. Spec: specs/relu_layer.md."""

from __future__ import annotations

import torch
from torch import Tensor

from mindref_torch.mixed_precision import compute_in_float32
from mindref_torch.shapes import bind_axes, require_float_dtype


@compute_in_float32
def relu_layer(x: Tensor, weight: Tensor, bias: Tensor, *, relu: bool) -> Tensor:
    """Map x (M, I) with weight (I, O) and bias (O,) to (M, O), with optional ReLU.

    The slope at zero is zero. Raises ShapeError if shapes or dtypes do not match.
    """
    bind_axes("relu_layer", x=(x, "MI"), weight=(weight, "IO"), bias=(bias, "O"))  # relu_layer-R5
    require_float_dtype("relu_layer", x=x, weight=weight, bias=bias)  # relu_layer-R6
    out = torch.addmm(bias, x, weight)  # relu_layer-R1
    return torch.relu(out) if relu else out  # relu_layer-R2, R3, R7


@compute_in_float32
def first_layer(x: Tensor, shared: Tensor, weight: Tensor, bias: Tensor, *, relu: bool) -> Tensor:
    """Return `relu_layer` (B K, O) of x (B, K, D), each row followed by the shared inputs (B, J).

    The product with the shared inputs of a user is computed once.
    """
    sizes = bind_axes("relu_layer", x=(x, "BKD"), shared=(shared, "BJ"), bias=(bias, "O"))
    joined = x.new_empty(0, sizes["D"] + sizes["J"])  # no row: only to check the weight
    bind_axes("relu_layer", x=(joined, "MI"), weight=(weight, "IO"))
    require_float_dtype("relu_layer", x=x, shared=shared, weight=weight, bias=bias)
    products = (x.flatten(0, 1) @ weight[: sizes["D"]]).view(sizes["B"], sizes["K"], sizes["O"])
    out = (products + torch.addmm(bias, shared, weight[sizes["D"] :])[:, None]).flatten(0, 1)
    return torch.relu(out) if relu else out
