"""The operators from NumPy to NumPy, as the contract of a backend wants them.

Spec: specs/backend.md. Every array is copied on its way in, so no result shares memory with one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from ml_dtypes import bfloat16  # the type that NumPy lacks
from torch import Tensor

from mindref.errors import ShapeError
from mindref.ops.embedding import RowGradient
from mindref.shapes import Array
from mindref_torch.embedding import by_rows, embedding
from mindref_torch.label_attention import label_attention
from mindref_torch.relu_layer import relu_layer
from mindref_torch.routing import routing
from mindref_torch.sampled_softmax import sampled_softmax
from mindref_torch.softmax import softmax
from mindref_torch.squash import squash


class Operator(NamedTuple):
    """An operator of tensors on a device, and the places of the arguments that have a gradient."""

    function: Callable[..., Any]
    moving: tuple[int, ...]
    device: str = "cpu"

    def forward(self, *arrays: Array, **numbers: Any) -> tuple[Array, Any]:
        """Return the result and what is saved: for routing its couplings, else nothing."""
        with torch.no_grad():
            found = self.function(*self.given(arrays), **numbers)
        if isinstance(found, Tensor):
            return array(found), None
        out, couplings = found
        return array(out), SimpleNamespace(couplings=array(couplings))

    def given(self, arrays: Sequence[Array]) -> list[Tensor]:
        """Return copies of arrays as tensors."""
        return [tensor(x, self.device) for x in arrays]


OPERATORS = {
    "embedding": Operator(partial(embedding, sparse=True), (0,)),
    "softmax": Operator(softmax, (0,)),
    "squash": Operator(squash, (0,)),
    "routing": Operator(routing, (0, 2, 3)),
    "relu_layer": Operator(relu_layer, (0, 1, 2)),
    "label_attention": Operator(label_attention, (0, 1)),
    "sampled_softmax": Operator(sampled_softmax, (0, 1, 2)),
}


def operators(device: str = "cpu") -> SimpleNamespace:
    """Return the operators on a device."""
    on_it = {stem: operator._replace(device=device) for stem, operator in OPERATORS.items()}
    return SimpleNamespace(**on_it)


def differentiate(
    stem: str,
    arrays: Sequence[Array],
    numbers: Mapping[str, Any],
    d_out: Array,
    device: str = "cpu",
) -> list[Any]:
    """Return the gradients of the arguments that the page lists; None stands for zeros."""
    operator = OPERATORS[stem]._replace(device=device)
    given = operator.given(arrays)
    moving = [given[place] for place in operator.moving]
    for x in moving:
        x.requires_grad_(x.is_floating_point())  # another type is refused by the operator
    out = operator.function(*given, **numbers)
    out = out if isinstance(out, Tensor) else out[0]
    cotangent = tensor(np.asarray(d_out), device).to(out.dtype)
    if not out.requires_grad:
        return [None] * len(moving)
    found = torch.autograd.grad(out, moving, cotangent, allow_unused=True)
    if stem == "embedding":
        _, rows, weights = given
        distinct, values = by_rows(found[0], rows[weights != 0])
        return [RowGradient(array(distinct), array(values))]
    return [None if gradient is None else array(gradient) for gradient in found]


def array(x: Tensor) -> npt.NDArray[Any]:
    """Return a tensor that nobody else has as an array."""
    plain = x.view(torch.int16) if x.dtype == torch.bfloat16 else x
    found: npt.NDArray[Any] = plain.cpu().numpy()
    return found if plain is x else found.view(bfloat16)


def tensor(x: npt.NDArray[Any], device: Any = "cpu") -> Tensor:
    """Return a copy as a tensor, ids as int64; raises ShapeError for a type that PyTorch lacks."""
    try:
        return copied(x.astype(np.int64) if x.dtype.kind in "iu" else x, device)
    except (TypeError, ValueError) as error:
        raise ShapeError(f"expected numbers that PyTorch has a type for, got {x.dtype}") from error


def copied(x: npt.NDArray[Any], device: Any = "cpu") -> Tensor:
    """Return a copy as a tensor of the same type, whatever the order and steps of the array."""
    x = np.asarray(x, order="C")
    if x.dtype == bfloat16:
        return torch.tensor(x.view(np.int16), device=device).view(torch.bfloat16)
    return torch.tensor(x, device=device)
