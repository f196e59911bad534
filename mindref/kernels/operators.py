"""The compiled operators under the names of the pages."""

from mindref.kernels import (
    embedding,
    label_attention,
    relu_layer,
    routing,
    sampled_softmax,
    softmax,
    squash,
)

__all__ = [
    "embedding",
    "label_attention",
    "relu_layer",
    "routing",
    "sampled_softmax",
    "softmax",
    "squash",
]
