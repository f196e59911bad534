"""Devices by name, and whether they are available. Spec: specs/backend.md."""

from __future__ import annotations

import torch

from mindref.errors import BackendError, say


def find_device(name: str) -> str:
    """Return the name of an available device; `auto` is `cuda` if available, otherwise `cpu`.

    `cuda` is the current CUDA device of PyTorch. Raises BackendError for another name, and for
    `cuda` if PyTorch finds no CUDA device.
    """
    cuda_available = torch.cuda.is_available()
    if name == "auto":
        return "cuda" if cuda_available else "cpu"
    if name not in ("cpu", "cuda"):
        raise BackendError(say("backend torch: device", "cpu, cuda or auto", repr(name)))
    if name == "cuda" and not cuda_available:
        got, todo = "cuda, and PyTorch finds none", "choose --device cpu or auto"
        raise BackendError(say("backend torch: device", "an available device", got, todo))
    return name
