"""Masked softmax over one axis. Spec: specs/softmax.md."""

from __future__ import annotations

import torch
from torch import Tensor

from mindref.errors import ShapeError, say
from mindref_torch.mixed_precision import compute_in_float32
from mindref_torch.shapes import require_axis, require_bool, require_float_dtype


@compute_in_float32
def softmax(logits: Tensor, mask: Tensor, *, axis: int) -> Tensor:
    """Return weights in the shape of logits that sum to one over `axis` where mask is true.

    mask broadcasts to logits. Masked positions are zero, and so are slices without true positions.
    Raises ShapeError for a wrong dtype, mask or axis.
    """
    check_inputs(logits, mask, axis)
    if logits.shape[axis] == 0:
        return logits.clone()
    masked_logits = logits.masked_fill(~mask, -torch.inf)  # softmax-R2: masked before the softmax
    empty = masked_logits.detach().amax(axis, keepdim=True) == -torch.inf  # softmax-R4
    weights = torch.softmax(masked_logits.masked_fill(empty, 0), axis)
    return weights.masked_fill(~mask | empty, 0)  # masked positions have zero gradient, softmax-R5


def check_inputs(logits: Tensor, mask: Tensor, axis: int) -> None:
    """Raise ShapeError if the arguments of `softmax` are invalid."""
    require_float_dtype("softmax", logits=logits)
    require_bool("softmax", mask=mask)
    require_axis("softmax", axis, logits.ndim)  # softmax-R7
    shape, mask_shape = tuple(logits.shape), tuple(mask.shape)
    trailing = shape[len(shape) - len(mask_shape) :]
    fits = len(mask_shape) <= len(shape) and all(
        m in (1, n) for m, n in zip(mask_shape, trailing, strict=True)
    )
    if not fits:  # softmax-R8
        expected = f"a shape that broadcasts to the logits' {shape}"
        raise ShapeError(say("softmax: mask", expected, mask_shape))
