"""The adapters with zeros at masked positions.

The pipeline of a package puts finite numbers at masked positions, and the conformance suite puts
NaN. A package that multiplies by the mask fails one rule, which hides other failures. With zeros
the other failures are visible.
"""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any

import numpy as np


def mask_with_zeros(stem: str, arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arrays with zeros at masked positions; unchanged if the shapes do not match."""
    if stem == "routing":
        history, mask, bilinear, logits, active = arrays
        if not fit(history, mask) or not fit(logits.swapaxes(1, -1), active):
            return arrays
        allowed = mask[:, :, None] & active[:, None, :]
        logits = np.where(allowed, logits, 0)
        return np.where(mask[..., None], history, 0), mask, bilinear, logits, active
    interests, target, active = arrays
    if not fit(interests, active):
        return arrays
    return np.where(active[..., None], interests, 0), target, active


def fit(x: Any, mask: Any) -> bool:
    """Return whether the mask is boolean and has the shape of the first axes of x."""
    return x.ndim == 3 and mask.dtype == bool and mask.shape == x.shape[:2]


class FinitePaddingAdapter:
    module = ""

    def __init__(self) -> None:
        self.adapter = importlib.import_module(f"tests.public_code.{self.module}").Backend()
        self.name = self.adapter.name
        self.ops = SimpleNamespace(
            **{stem: self.wrap_operator(stem) for stem in vars(self.adapter.ops)}
        )

    def wrap_operator(self, stem: str) -> Any:
        inner = getattr(self.adapter.ops, stem).forward
        return SimpleNamespace(
            forward=lambda *arrays, **numbers: inner(*mask_with_zeros(stem, arrays), **numbers)
        )

    def capabilities(self) -> Any:
        return self.adapter.capabilities()

    def differentiate(self, stem: str, arrays: Any, numbers: Any, d_out: Any) -> Any:
        return self.adapter.differentiate(stem, mask_with_zeros(stem, arrays), numbers, d_out)

    def to_numpy(self, x: Any) -> Any:
        return x

    from_numpy = to_numpy


class Rechub(FinitePaddingAdapter):
    module = "rechub_backend"


class Deepmatch(FinitePaddingAdapter):
    module = "deepmatch_backend"
