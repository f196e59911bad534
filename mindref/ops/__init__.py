"""The reference: every operator in NumPy, forward and backward, pure.

In the order of the data flow (each is a module, a page in specs/ and a test of the same stem):

    embedding -> routing (uses softmax, squash) -> relu_layer -> label_attention -> sampled_softmax

`item_attention` is the ranking stage's (specs/din.md) and stands apart: no backend is asked for it.

A module has `forward(arrays..., *, numbers) -> (out, Saved)` and `backward(d_out, saved)`.

Further operators, of models of our own, live here, too; no backend must have them.
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
"""The same of the operators of our own models."""
