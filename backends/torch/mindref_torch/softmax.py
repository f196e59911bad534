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
    return masked_softmax(logits, mask, axis)


def masked_softmax(logits: Tensor, mask: Tensor, axis: int) -> Tensor:
    """Return `softmax` of checked tensors."""
    excluded = ~mask | (logits == -torch.inf)  # weight zero, softmax-R4
    # softmax-R2: masked before the softmax; a slice without included positions is NaN after it
    weights = torch.softmax(logits.masked_fill(excluded, -torch.inf), axis)
    return weights.masked_fill(excluded, 0)  # excluded positions have zero gradient, softmax-R5
