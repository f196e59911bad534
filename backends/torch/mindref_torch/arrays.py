"""The operators as functions of NumPy arrays, as the backend contract requires.

Spec: specs/backend.md. Every input is copied, so no result shares memory with an input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from ml_dtypes import bfloat16  # NumPy has no bfloat16
from torch import Tensor

from mindref.errors import ShapeError
from mindref.ops.embedding import RowGradient
from mindref.shapes import Array
from mindref_torch.embedding import embedding, sum_sparse_rows
from mindref_torch.label_attention import label_attention
from mindref_torch.pooled_softmax import pooled_softmax
from mindref_torch.relu_layer import relu_layer
from mindref_torch.routing import routing
from mindref_torch.sampled_softmax import sampled_softmax
from mindref_torch.softmax import softmax
from mindref_torch.squash import squash


class Operator(NamedTuple):
    """An operator of tensors on a device, and the indices of its differentiable arguments."""

    function: Callable[..., Tensor | tuple[Tensor, Tensor]]
    differentiable: tuple[int, ...]
    device: str = "cpu"

    def forward(self, *arrays: Array, **numbers: object) -> tuple[Array, SimpleNamespace | None]:
        """Return the result, and saved values: the coupling weights for routing, otherwise None."""
        tensors = {name: x for name, x in numbers.items() if isinstance(x, np.ndarray)}
        copies = dict(zip(tensors, self.copy_arrays(list(tensors.values())), strict=True))
        with torch.no_grad():
            result = self.function(*self.copy_arrays(arrays), **{**numbers, **copies})
        if isinstance(result, Tensor):
            return to_array(result), None
        out, couplings = result
        return to_array(out), SimpleNamespace(couplings=to_array(couplings))

    def copy_arrays(self, arrays: Sequence[Array]) -> list[Tensor]:
        """Return copies of the arrays as tensors on the device."""
        return [to_tensor(x, self.device) for x in arrays]


OPERATORS = {
    "embedding": Operator(partial(embedding, sparse=True), (0,)),
    "softmax": Operator(softmax, (0,)),
    "squash": Operator(squash, (0,)),
    "routing": Operator(routing, (0, 2, 3, 5)),
    "relu_layer": Operator(relu_layer, (0, 1, 2)),
    "label_attention": Operator(label_attention, (0, 1)),
    "sampled_softmax": Operator(sampled_softmax, (0, 1, 2)),
    "pooled_softmax": Operator(pooled_softmax, (0, 2, 3)),  # beyond the contract
}


def make_operators(device: str = "cpu") -> SimpleNamespace:
    """Return the operators on a device."""
    on_device = {stem: operator._replace(device=device) for stem, operator in OPERATORS.items()}
    return SimpleNamespace(**on_device)


def differentiate(
    stem: str,
    arrays: Sequence[Array],
    numbers: Mapping[str, object],
    d_out: Array,
    device: str = "cpu",
) -> list[Array | RowGradient | None]:
    """Return the gradients of the differentiable arguments in order; None means zeros."""
    operator = OPERATORS[stem]._replace(device=device)
    tensors = operator.copy_arrays(arrays)
    # log_weights of routing are optional
    inputs = [tensors[index] for index in operator.differentiable if index < len(tensors)]
    for x in inputs:
        x.requires_grad_(x.is_floating_point())  # the operator raises for other dtypes
    out = operator.function(*tensors, **numbers)
    out = out if isinstance(out, Tensor) else out[0]
    cotangent = to_tensor(np.asarray(d_out), device).to(out.dtype)
    if not out.requires_grad:
        return [None] * len(inputs)
    gradients = torch.autograd.grad(out, inputs, cotangent, allow_unused=True)
    if stem == "embedding":
        _, rows, weights = tensors
        distinct, values = sum_sparse_rows(gradients[0], rows[weights != 0])
        return [RowGradient(to_array(distinct), to_array(values))]
    return [None if gradient is None else to_array(gradient) for gradient in gradients]


def to_array(x: Tensor) -> npt.NDArray[Any]:
    """Return a tensor as an array, without a copy if the tensor is on the CPU."""
    bits = x.view(torch.int16) if x.dtype == torch.bfloat16 else x
    values: npt.NDArray[Any] = bits.cpu().numpy()
    return values if bits is x else values.view(bfloat16)


def copy_to_numpy(x: Tensor) -> npt.NDArray[Any]:
    """Return a copy of a tensor as an array."""
    return to_array(x.detach()).copy()


def to_tensor(x: npt.NDArray[Any], device: str | torch.device = "cpu") -> Tensor:
    """Return a copy as a tensor, integers as int64.

    Raises ShapeError if PyTorch does not support the dtype.
    """
    try:
        return copy_from_numpy(x.astype(np.int64) if x.dtype.kind in "iu" else x, device)
    except (TypeError, ValueError) as error:
        raise ShapeError(f"expected a dtype that PyTorch supports, got {x.dtype}") from error


def copy_from_numpy(x: npt.NDArray[Any], device: str | torch.device = "cpu") -> Tensor:
    """Return a copy as a tensor of the same dtype, for any strides of the array."""
    x = np.asarray(x, order="C")
    if any(stride < 0 for stride in x.strides):  # of an axis of size 1
        x = x.copy()
    if x.dtype == bfloat16:
        return torch.tensor(x.view(np.int16), device=device).view(torch.bfloat16)
    return torch.tensor(x, device=device)
