"""The compiled operators under the names of the pages: those of the contract, and our own."""

from mindref.kernels import (
    embedding,
    label_attention,
    pooled_softmax,
    relu_layer,
    routing,
    sampled_softmax,
    softmax,
    squash,
)

__all__ = [
    "embedding",
    "label_attention",
    "pooled_softmax",
    "relu_layer",
    "routing",
    "sampled_softmax",
    "softmax",
    "squash",
]
