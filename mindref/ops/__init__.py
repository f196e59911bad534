"""The reference implementation: each operator in NumPy, as pure functions `forward` and `backward`.

The operators in the order of the data flow (module, page and test have the name of the operator):

    embedding -> routing (uses softmax, squash) -> relu_layer -> label_attention -> sampled_softmax

Each module defines `forward(arrays..., *, numbers) -> (out, Saved)` and `backward(d_out, saved)`.
Saved contains the values of the forward pass that backward reads. A backend need not implement the
operators in FURTHER, or `item_attention`, which the reranker DIN uses (specs/din.md).
"""

import sys
from collections.abc import Callable
from typing import Any, Protocol, cast

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


class Operator(Protocol):
    """An operator of this package or of a backend."""

    @property
    def forward(self) -> Callable[..., Any]:
        """(arrays..., *, numbers) -> (out, Saved)."""

    @property
    def backward(self) -> Callable[..., Any]:
        """(d_out, saved) -> the gradient of each array with a gradient."""


class Operators(Protocol):
    """The operators from which a model is composed: this package, or those of a backend."""

    embedding: Operator  # vectors of items: weighted sums of table rows
    softmax: Operator  # weights that sum to one
    squash: Operator  # vectors with lengths below one
    routing: Operator  # interest capsules of a user's behaviours
    relu_layer: Operator  # a linear layer, with or without ReLU
    label_attention: Operator  # a user vector for each target
    sampled_softmax: Operator  # the loss of user vectors
    pooled_softmax: Operator  # the loss of interests


REFERENCE = cast(Operators, sys.modules[__name__])
"""The operators of this package."""

OPS: dict[str, Operator] = {  # notation-R6, R7
    "embedding": embedding,
    "softmax": softmax,
    "squash": squash,
    "routing": routing,
    "relu_layer": relu_layer,
    "label_attention": label_attention,
    "sampled_softmax": sampled_softmax,
}
"""Every operator that a backend must have: name -> module, in the order of the specification."""

FURTHER: dict[str, Operator] = {"pooled_softmax": pooled_softmax}
"""Operators outside the paper that a backend may implement: name -> module."""
