"""The operators on what is real only: gathered by user, without padding."""

from tests.conformance.correct.ragged import (
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
