"""Masked softmax over one axis. Spec: specs/softmax.md."""

from __future__ import annotations

import torch
from torch import Tensor

from mindref.ops import softmax as reference
from mindref_torch.mixed_precision import compute_in_float32
from mindref_torch.shapes import check_arguments


@compute_in_float32
def softmax(logits: Tensor, mask: Tensor, *, axis: int) -> Tensor:
    """Return weights in the shape of logits that sum to one over `axis` where mask is true.

    mask broadcasts to logits. Masked positions are zero, and so are slices without true positions.
    Raises ShapeError for a wrong dtype, mask or axis.
    """
    check_arguments(reference.check_inputs, logits, mask, axis=axis)  # softmax-R7, R8
    if logits.shape[axis] == 0:
        return logits.clone()
    masked_logits = logits.masked_fill(~mask, -torch.inf)  # softmax-R2: masked before the softmax
    empty = masked_logits.detach().amax(axis, keepdim=True) == -torch.inf  # softmax-R4
    weights = torch.softmax(masked_logits.masked_fill(empty, 0), axis)
    return weights.masked_fill(~mask | empty, 0)  # masked positions have zero gradient, softmax-R5
