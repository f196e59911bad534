"""The gradient of a pooled loss through its targets, compiled for the fused step.

Spec: specs/pooled_softmax.md. The operator `pooled_softmax` is the reference's for every backend
that does not compute it in its own training step.
"""

from __future__ import annotations

from mindref.kernels._jit import jit
from mindref.shapes import Array, Ints


@jit
def add_pooled_target_terms(
    user_rows: Ints, d_products: Array, rows: Array, target: Array, d_rows: Array, d_target: Array
) -> None:
    """Add the gradients through the products of rows and targets to d_rows; write d_target."""
    for b in range(target.shape[0]):
        d_target[b] = 0
        for a in range(user_rows[b, 0], user_rows[b, 1]):
            for d in range(target.shape[1]):
                d_rows[a, d] += d_products[a] * target[b, d]
                d_target[b, d] += d_products[a] * rows[a, d]
