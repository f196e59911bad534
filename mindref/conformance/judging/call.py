"""One question to an implementation, and the names of what comes back.

Spec: specs/backend.md. Arrays go by name, in the order of the operator's positional arguments.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Anything = npt.NDArray[Any]
Answer = dict[str, Anything]
"""What came back, by name: "out", "d_history", ...; plain NumPy arrays."""

GRADIENTS = {
    "embedding": ("table",),
    "softmax": ("logits",),
    "squash": ("x",),
    "routing": ("history", "bilinear", "init_logits", "log_weights"),
    "relu_layer": ("x", "weight", "bias"),
    "label_attention": ("interests", "target"),
    "sampled_softmax": ("user", "target", "negatives"),
}
"""Stem -> the arguments that have a gradient, in the order in which backward returns them.

One that may be left out has none where it is: see `Call.learned`.
"""

MODEL = ("loss", "interests")
TRAIN = ("training",)


class Call(NamedTuple):
    """One question: an operator with all that goes in."""

    stem: str
    arrays: dict[str, Any]
    numbers: dict[str, Any]
    cotangent: Anything | None = None  # d_out, if gradients are asked for, too

    @property
    def level(self) -> str:
        """Return the level of the contract that answers this."""
        return "model" if self.stem in MODEL else "train" if self.stem in TRAIN else "ops"

    @property
    def learned(self) -> tuple[str, ...]:
        """Return the arguments of this call that have a gradient, in the order of backward."""
        return tuple(name for name in GRADIENTS.get(self.stem, ()) if name in self.arrays)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return the type of the first float array, float64 if there is none."""
        floats = (x for x in leaves(self.arrays).values() if is_float(x))
        return next((x.dtype for x in floats), np.dtype(np.float64))

    def change(self, **changes: Any) -> Call:
        """Return the same question with other arrays, numbers or cotangent."""
        cotangent = changes.pop("cotangent", self.cotangent)
        arrays = {name: changes.pop(name, x) for name, x in self.arrays.items()}
        numbers = {name: changes.pop(name, x) for name, x in self.numbers.items()}
        if changes:
            raise KeyError(f"{self.stem} has no {', '.join(changes)}")
        return Call(self.stem, arrays, numbers, cotangent)

    def to(self, dtype: npt.DTypeLike) -> Call:
        """Return the question with its float arrays in another type."""
        with np.errstate(over="ignore"):  # what a narrow type cannot hold is infinite there
            arrays = mapped(lambda x: x.astype(dtype), self.arrays)
            cotangent = mapped(lambda x: x.astype(dtype), self.cotangent)
        return Call(self.stem, arrays, in_dtype(self.numbers, dtype), cotangent)

    def forward_only(self) -> Call:
        """Return the question without its gradients."""
        return self._replace(cotangent=None)


def is_float(x: Any) -> bool:
    """Return whether x is an array of floats of any width, bfloat16 of ml_dtypes included."""
    return isinstance(x, np.ndarray) and (x.dtype.kind == "f" or x.dtype.name == "bfloat16")


def mapped(change: Callable[[Anything], Any], x: Any) -> Any:
    """Return x with `change` made to each of its float arrays, at any depth of tuples and dicts."""
    if is_float(x):
        return change(x)
    if isinstance(x, dict):
        return {name: mapped(change, part) for name, part in x.items()}
    if isinstance(x, tuple):
        parts = [mapped(change, part) for part in x]
        return type(x)(*parts) if hasattr(x, "_fields") else tuple(parts)
    return x


def in_dtype(numbers: dict[str, Any], dtype: npt.DTypeLike) -> dict[str, Any]:
    """Return the numbers of a call; a configuration among them names its type, if it knows it."""
    name = np.dtype(dtype).name
    if "config" not in numbers or name not in ("float32", "float64"):
        return numbers
    config = dataclasses.replace(numbers["config"], dtype=name)
    return {**numbers, "config": config}


def leaves(x: Any, name: str = "") -> dict[str, Anything]:
    """Return every array inside a nest of tuples, by a dotted name."""
    if isinstance(x, np.ndarray):
        return {name: x}
    found: dict[str, Anything] = {}
    if isinstance(x, dict):
        for key, part in x.items():
            found |= leaves(part, f"{name}.{key}" if name else str(key))
    elif isinstance(x, tuple):
        names = getattr(x, "_fields", range(len(x)))
        for key, part in zip(names, x, strict=True):
            found |= leaves(part, f"{name}.{key}" if name else str(key))
    return found
