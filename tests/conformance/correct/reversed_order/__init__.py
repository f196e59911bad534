"""The operators on whole arrays, every sum from its last term to its first."""

from tests.conformance.correct.reversed_order import (
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
