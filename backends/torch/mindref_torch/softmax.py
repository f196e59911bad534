"""Softmax over one axis, among the places that a mask leaves. Spec: specs/softmax.md."""

from __future__ import annotations

import torch
from torch import Tensor

from mindref.errors import ShapeError, say
from mindref_torch.checks import axis_within, boolean, same_float
from mindref_torch.narrow import in_float32


@in_float32
def softmax(logits: Tensor, mask: Tensor, *, axis: int) -> Tensor:
    """Return weights in the shape of logits that sum to one over `axis` where mask is true.

    mask broadcasts to logits. A slice without a place left is zero, and so is each masked place.
    Raises ShapeError for another type, a mask that does not fit and an axis that is not there.
    """
    check(logits, mask, axis)
    if logits.shape[axis] == 0:
        return logits.clone()
    kept = logits.masked_fill(~mask, -torch.inf)  # softmax-R2: chosen before, not zeroed after
    empty = kept.detach().amax(axis, keepdim=True) == -torch.inf  # softmax-R4
    weights = torch.softmax(kept.masked_fill(empty, 0), axis)
    return weights.masked_fill(~mask | empty, 0)  # no cotangent passes a masked place, softmax-R5


def check(logits: Tensor, mask: Tensor, axis: int) -> None:
    """Raise ShapeError for anything that `softmax` cannot take."""
    same_float("softmax", logits=logits)
    boolean("softmax", mask=mask)
    axis_within("softmax", axis, logits.ndim)  # softmax-R7
    shape, given = tuple(logits.shape), tuple(mask.shape)
    behind = shape[len(shape) - len(given) :]
    fits = len(given) <= len(shape) and all(m in (1, n) for m, n in zip(given, behind, strict=True))
    if not fits:  # softmax-R8
        wanted = f"a shape that broadcasts to the logits' {shape}"
        raise ShapeError(say("softmax: mask", wanted, given))
