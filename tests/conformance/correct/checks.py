"""What each operator refuses, before anything is computed: the same words as the reference's.

Only shapes, types and options are looked at here; no arithmetic of `mindref.ops` is called.
"""

from __future__ import annotations

from mindref.errors import ShapeError, say
from mindref.ops import label_attention as _label_attention
from mindref.ops import routing as _routing
from mindref.ops import sampled_softmax as _sampled_softmax
from mindref.ops import softmax as _softmax
from mindref.ops.embedding import check_rows
from mindref.ops.squash import KINDS
from mindref.shapes import Array, Ints, bind, same_float

softmax = _softmax.check
label_attention = _label_attention.check
sampled_softmax = _sampled_softmax.check


def embedding(table: Array, rows: Ints, weights: Array) -> None:
    sizes = bind("embedding", table=(table, "VD"), rows=(rows, "MF"), weights=(weights, "MF"))
    same_float("embedding", table=table, weights=weights)
    check_rows("embedding", rows, sizes["V"])


def squash(x: Array, kind: str) -> None:
    same_float("squash", x=x)
    if kind not in KINDS:
        raise ShapeError(say("squash: kind", " or ".join(KINDS), kind))


def routing(*arguments: object, kind: str) -> None:
    _routing.check(*arguments)  # type: ignore[arg-type]
    squash(arguments[0], kind)  # type: ignore[arg-type]


def relu_layer(x: Array, weight: Array, bias: Array) -> None:
    bind("relu_layer", x=(x, "MI"), weight=(weight, "IO"), bias=(bias, "O"))
    same_float("relu_layer", x=x, weight=weight, bias=bias)
