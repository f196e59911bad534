"""Attention of a block of users to their targets and back, each in one call.

Spec: specs/label_attention.md, specs/model.md. Between short calls two threads wait for each
other's Python.
"""

from __future__ import annotations

from mindref.kernels._jit import jit
from mindref.kernels.label_attention import attend, attend_backward
from mindref.shapes import Array, Bools, Ints


@jit
def attend_to(
    vectors: Array,
    at: Ints,
    interests: Array,
    active: Bools,
    power: float,
    target: Array,
    scores: Array,
    weights: Array,
    out: Array,
) -> None:
    """Write the targets (B, D), rows `at` (B,) of vectors, and what `attend` does with them."""
    for b in range(len(at)):
        vector, own = vectors[at[b]], target[b]
        for d in range(own.shape[0]):
            own[d] = vector[d]
    attend(interests, target, active, power, scores, weights, out)


@jit
def attend_to_backward(
    d_out: Array,
    interests: Array,
    target: Array,
    scores: Array,
    weights: Array,
    power: float,
    d_interests: Array,
    d_query: Array,
    d_target: Array,
) -> None:
    """Write d_interests (B, K, D), and add to d_target (B, D) what it gets as query: model-R9."""
    attend_backward(d_out, interests, target, scores, weights, power, d_interests, d_query)
    for b in range(d_target.shape[0]):
        for d in range(d_target.shape[1]):
            d_target[b, d] += d_query[b, d]
