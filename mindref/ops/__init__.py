"""The reference: every operator in NumPy, forward and backward, pure.

In the order of the data flow (each is a module, a page in specs/ and a test of the same stem):

    embedding -> routing (uses softmax, squash) -> relu_layer -> label_attention -> sampled_softmax

A module has `forward(arrays..., *, numbers) -> (out, Saved)` and `backward(d_out, saved)`.
"""

from mindref.ops import (
    embedding,
    label_attention,
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
"""Stem -> module, in the order of the specification."""
