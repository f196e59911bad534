"""Argument checks of each operator, with its signature and the messages of the reference.

They test only shapes, dtypes and options; no arithmetic of `mindref.ops` is called.
"""

from __future__ import annotations

from typing import Any

from mindref.ops import label_attention as _label_attention
from mindref.ops import routing as _routing
from mindref.ops import sampled_softmax as _sampled_softmax
from mindref.ops import softmax as _softmax
from mindref.ops import squash as _squash
from mindref.ops.embedding import check_row_indices
from mindref.shapes import bind_axes, common_float_dtype


def embedding(table: Any, rows: Any, weights: Any) -> None:
    sizes = bind_axes("embedding", table=(table, "VD"), rows=(rows, "MF"), weights=(weights, "MF"))
    common_float_dtype("embedding", table=table, weights=weights)
    check_row_indices("embedding", rows, sizes["V"])


def softmax(*arrays: Any, axis: int) -> None:
    _softmax.check_inputs(*arrays, axis)


def squash(x: Any, *, kind: str = "squash") -> None:
    _squash.check_inputs(x, kind)


def routing(
    *arrays: Any, iterations: int, gradient: str, axis: str = "interests", kind: str = "squash"
) -> None:
    _routing.check_inputs(*arrays[:5], iterations, gradient, axis, *arrays[5:])
    _squash.check_inputs(arrays[0], kind)


def relu_layer(x: Any, weight: Any, bias: Any, *, relu: bool) -> None:
    bind_axes("relu_layer", x=(x, "MI"), weight=(weight, "IO"), bias=(bias, "O"))
    common_float_dtype("relu_layer", x=x, weight=weight, bias=bias)


def label_attention(*arrays: Any, power: float) -> None:
    _label_attention.check_inputs(*arrays, power)


def sampled_softmax(*arrays: Any, temperature: float = 1.0, normalise: bool = False) -> None:
    _sampled_softmax.check_inputs(*arrays, temperature)
