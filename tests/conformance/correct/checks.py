"""Argument checks of each operator before any computation, with the messages of the reference.

They test only shapes, dtypes and options; no arithmetic of `mindref.ops` is called.
"""

from __future__ import annotations

from mindref.ops import label_attention as _label_attention
from mindref.ops import routing as _routing
from mindref.ops import sampled_softmax as _sampled_softmax
from mindref.ops import softmax as _softmax
from mindref.ops import squash as _squash
from mindref.ops.embedding import check_row_indices
from mindref.shapes import Array, Ints, bind_axes, common_float_dtype

softmax = _softmax.check_inputs
squash = _squash.check_inputs
label_attention = _label_attention.check_inputs
sampled_softmax = _sampled_softmax.check_inputs


def embedding(table: Array, rows: Ints, weights: Array) -> None:
    sizes = bind_axes("embedding", table=(table, "VD"), rows=(rows, "MF"), weights=(weights, "MF"))
    common_float_dtype("embedding", table=table, weights=weights)
    check_row_indices("embedding", rows, sizes["V"])


def routing(*arguments: object, kind: str) -> None:
    _routing.check_inputs(*arguments)  # type: ignore[arg-type]
    squash(arguments[0], kind)  # type: ignore[arg-type]


def relu_layer(x: Array, weight: Array, bias: Array) -> None:
    bind_axes("relu_layer", x=(x, "MI"), weight=(weight, "IO"), bias=(bias, "O"))
    common_float_dtype("relu_layer", x=x, weight=weight, bias=bias)
