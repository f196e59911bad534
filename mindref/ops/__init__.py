"""The reference implementation: each operator in NumPy, as pure functions `forward` and `backward`.

The operators in the order of the data flow (module, page and test have the name of the operator):

    embedding -> routing (uses softmax, squash) -> relu_layer -> label_attention -> sampled_softmax

Each module defines `forward(arrays..., *, numbers) -> (out, Saved)` and `backward(d_out, saved)`.
Saved contains the values of the forward pass that backward reads. A backend need not implement the
operators in FURTHER, or `item_attention`, which the reranker DIN uses (specs/din.md).
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
"""Every operator that a backend must have: name -> module, in the order of the specification."""

FURTHER = {"pooled_softmax": pooled_softmax}
"""Operators outside the paper that a backend may implement: name -> module."""
