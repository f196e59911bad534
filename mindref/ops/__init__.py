"""The reference: every operator in NumPy, forward and backward, pure.

Operators in the order of the data flow (each has a module, a page and a test of the same stem):

    embedding -> routing (uses softmax, squash) -> relu_layer -> label_attention -> sampled_softmax

A module has `forward(arrays..., *, numbers) -> (out, Saved)` and `backward(d_out, saved)`.

No backend needs `item_attention`, the operator of DIN (specs/din.md), or the operators in FURTHER.
"""

from mindref.ops import (
    embedding,
    label_attention,
    pooled_softmax,
    relu_layer,
    routing,
    sampled_softmax,
    softmax,
    squash,
)

OPS = {  # notation-R6, R7
    "embedding": embedding,
    "softmax": softmax,
    "squash": squash,
    "routing": routing,
    "relu_layer": relu_layer,
    "label_attention": label_attention,
    "sampled_softmax": sampled_softmax,
}
"""Stem -> module of every operator that a backend must have, in the order of the specification."""

FURTHER = {"pooled_softmax": pooled_softmax}
"""Stem -> module of the operators of models that are not in the paper."""
