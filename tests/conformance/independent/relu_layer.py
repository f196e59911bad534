"""Spec: specs/relu_layer.md."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.shapes import Array, Bools
from tests.conformance.independent.argument_checks import check_axes, check_floats


class ReluSaved(NamedTuple):
    x: Array
    weight: Array
    passed: Bools | None  # None without the rectifier


class ReluLayer:
    """A matrix product plus a bias, with or without the rectifier."""

    def forward(
        self, x: Array, weight: Array, bias: Array, *, relu: bool
    ) -> tuple[Array, ReluSaved]:
        check_axes("relu_layer", x=(x, "MI"), weight=(weight, "IO"), bias=(bias, "O"))
        check_floats("relu_layer", x=x, weight=weight, bias=bias)
        a = self.multiply_matrices(x, weight) + bias
        if not relu:
            return a, ReluSaved(x, weight, None)
        return np.where(a <= 0, 0, a).astype(a.dtype), ReluSaved(x, weight, ~(a <= 0))

    def multiply_matrices(self, x: Array, weight: Array) -> Array:
        return np.matmul(x, weight)

    def backward(self, d_out: Array, saved: ReluSaved) -> tuple[Array, Array, Array]:
        d_a = self.rectifier_backward(d_out, saved.passed)
        return (
            self.multiply_matrices(d_a, saved.weight.T),
            self.multiply_matrices(saved.x.T, d_a),
            self.bias_backward(d_a),
        )

    def rectifier_backward(self, d_out: Array, passed: Bools | None) -> Array:
        return d_out if passed is None else np.where(passed, d_out, 0)

    def bias_backward(self, d_a: Array) -> Array:
        return d_a.sum(axis=0)
