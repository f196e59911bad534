"""The operators of MIND in PyTorch, written from the pages of mindref.

Each operator is a function of tensors in a module of its own, differentiated by PyTorch, on the
device that its tensors are on:

    from mindref_torch.routing import routing
    capsules, couplings = routing(
        history, mask, bilinear, init_logits, active, iterations=3, gradient="last"
    )

    embedding.py, softmax.py, squash.py, routing.py, relu_layer.py, label_attention.py,
    sampled_softmax.py     the operators, tensors in and tensors out
    model.py               MIND, a module of them; Histories and Batch, what it is given
    checks.py              what they refuse
    narrow.py              bfloat16
    devices.py             where they compute
    tower.py, export.py    the way to interests for a graph that is traced; its files for serving
    arrays.py              the same operators from NumPy to NumPy, with their gradients
    level_model.py, level_train.py   the levels `model` and `train`
    compiled.py            a training step with a compiled graph
    distributed.py         a training step that several processes share
    backend.py             the backend `torch` of mindref

Importing this imports no framework: PyTorch comes with the modules, or with `MIND`.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Return MIND, Histories or Batch, and import PyTorch for it; or the backend `Compiled`."""
    if name == "Compiled":
        return importlib.import_module("mindref_torch.backend").Compiled
    if name in ("MIND", "Histories", "Batch"):
        return getattr(importlib.import_module("mindref_torch.model"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
