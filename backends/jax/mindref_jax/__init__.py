"""The operators of MIND and mind_plus in JAX, written from the specification of mindref.

Each operator is a pure function of arrays in a module of the same name. JAX differentiates it:

    from mindref_jax.routing import routing
    capsules, couplings = routing(
        history, mask, bilinear, init_logits, active, iterations=3, gradient="last"
    )

    embedding.py, softmax.py, squash.py, routing.py, relu_layer.py, label_attention.py,
    sampled_softmax.py, pooled_softmax.py    the operators: JAX or NumPy arrays in, JAX arrays out
    model.py               the model: init, loss, interests; its inputs Histories and Batch
    mind_plus.py           the parts of mind_plus that MIND lacks
    matmul.py              matrix products in full precision
    shapes.py              checks of shapes and dtypes
    devices.py             choice of the device, and 64-bit dtypes
    layout.py              batches in few shapes, because each set of shapes is compiled
    arrays.py              the operators as functions of NumPy arrays, with gradients
    level_model.py, level_train.py   the levels `model` and `train`
    scoring.py             the level `serve`: scores of items
    backend.py             the backend `jax` of mindref

Importing this package does not import JAX. Its modules and functions such as `loss` import JAX.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Return init, loss, interests, Histories or Batch, which imports JAX."""
    if name in ("init", "loss", "interests", "Histories", "Batch"):
        return getattr(importlib.import_module("mindref_jax.model"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
