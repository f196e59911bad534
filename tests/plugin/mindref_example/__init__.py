"""Example of a third-party backend with one operator and an entry point, and broken backends."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from mindref.backend import Capabilities


def forward(x: Any, weight: Any, bias: Any, *, relu: bool) -> Any:
    if weight.ndim != 2 or x.shape[1:] != weight.shape[:1] or bias.shape != weight.shape[1:]:
        raise ValueError(f"shapes {x.shape}, {weight.shape}, {bias.shape} do not match")
    if len({x.dtype, weight.dtype, bias.dtype}) > 1 or x.dtype.kind != "f":
        raise TypeError(f"types {x.dtype}, {weight.dtype}, {bias.dtype} do not match")
    out = np.einsum("mi,io->mo", x, weight) + bias
    return (np.maximum(out, 0) if relu else out), (x, weight, ~(out <= 0) if relu else None)


def backward(d_out: Any, saved: Any) -> Any:
    x, weight, passed = saved
    d_sum = d_out if passed is None else np.where(passed, d_out, 0)
    return (
        np.einsum("mo,io->mi", d_sum, weight),
        np.einsum("mi,mo->io", x, d_sum),
        np.einsum("mo->o", d_sum),
    )


class Example:
    name = "example"
    ops = SimpleNamespace(relu_layer=SimpleNamespace(forward=forward, backward=backward))

    def capabilities(self) -> Capabilities:
        return Capabilities(("relu_layer",))

    def to_numpy(self, x: Any) -> Any:
        return x

    def from_numpy(self, x: Any) -> Any:
        return x


NOTHING = 7


class WrongSignature(Example):
    name = "example_wrong_signature"
    ops = SimpleNamespace(relu_layer=SimpleNamespace(forward=lambda x: x, backward=backward))


class WrongClaims(Example):
    name = "example_wrong_claims"

    def capabilities(self) -> Any:
        return {"operators": ["relu_layer"]}
