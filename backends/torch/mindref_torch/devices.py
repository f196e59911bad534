"""Where tensors live: devices by name, and whether they are there. Spec: specs/backend.md."""

from __future__ import annotations

import torch

from mindref.errors import BackendError, say


def found(name: str) -> str:
    """Return the name of a device that is there: `cpu`, `cuda`, or for `auto` the better one.

    `cuda` is the card that PyTorch calls the current one. Raises BackendError for any other device,
    and for CUDA where there is none.
    """
    there = torch.cuda.is_available()
    if name == "auto":
        return "cuda" if there else "cpu"
    if name not in ("cpu", "cuda"):
        raise BackendError(say("backend torch: device", "cpu, cuda or auto", repr(name)))
    if name == "cuda" and not there:
        got, todo = "cuda, and PyTorch finds none", "choose --device cpu or auto"
        raise BackendError(say("backend torch: device", "one that is there", got, todo))
    return name
