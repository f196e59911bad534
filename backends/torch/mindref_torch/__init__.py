"""The operators of MIND and mind_plus in PyTorch, written from the specification of mindref.

Each operator is a function of tensors in a module of the same name. It runs on the device of its
tensors, and PyTorch differentiates it:

    from mindref_torch.routing import routing
    capsules, couplings = routing(
        history, mask, bilinear, init_logits, active, iterations=3, gradient="last"
    )

    embedding.py, softmax.py, squash.py, routing.py, relu_layer.py, label_attention.py,
    sampled_softmax.py, pooled_softmax.py     the operators, functions of tensors
    mind_plus.py           weights by age, contexts and dropout
    model.py               the module MIND and its inputs Histories and Batch
    shapes.py              checks of shapes and dtypes
    mixed_precision.py     computation in float32 for bfloat16 tensors
    devices.py             choice of the device
    arrays.py              the operators as functions of NumPy arrays, with gradients
    level_model.py, level_train.py   the levels `model` and `train`
    scoring.py             the level `serve`: scores of items
    compiled.py            a training step with a compiled graph
    distributed.py         a training step of several processes
    backend.py             the backend `torch` of mindref

Importing this package does not import PyTorch. Its modules and `MIND` import PyTorch.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Return MIND, Histories or Batch, which imports PyTorch, or the backend `Compiled`."""
    if name == "Compiled":
        return importlib.import_module("mindref_torch.backend").Compiled
    if name in ("MIND", "Histories", "Batch"):
        return getattr(importlib.import_module("mindref_torch.model"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
