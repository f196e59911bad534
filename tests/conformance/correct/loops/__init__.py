"""The operators in plain loops: one user, place and interest after another."""

from tests.conformance.correct.loops import (
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
