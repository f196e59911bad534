"""The operators of MIND in JAX, written from the pages of mindref.

Each operator is a pure function of arrays in a module of its own, differentiated by JAX:

    from mindref_jax.routing import routing
    capsules, couplings = routing(
        history, mask, bilinear, init_logits, active, iterations=3, gradient="last"
    )

    embedding.py, softmax.py, squash.py, routing.py, relu_layer.py, label_attention.py,
    sampled_softmax.py     the operators, arrays of JAX or NumPy in and arrays of JAX out
    model.py               MIND made of them: init, loss, interests; Histories and Batch
    products.py            matrix products in full precision
    checks.py              what they refuse
    devices.py             where they compute, and with which types
    layout.py              batches in few shapes, as each set of shapes is compiled
    arrays.py              the same operators from NumPy to NumPy, with their gradients
    level_model.py, level_train.py   the levels `model` and `train`
    backend.py             the backend `jax` of mindref

Importing this imports no framework: JAX comes with the modules, or with `loss` and the like.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Return init, loss, interests, Histories or Batch, and import JAX for it."""
    if name in ("init", "loss", "interests", "Histories", "Batch"):
        return getattr(importlib.import_module("mindref_jax.model"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
