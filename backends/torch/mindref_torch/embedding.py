"""Vectors of items: weighted sums of rows of one table. Spec: specs/embedding.md."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mindref.errors import ShapeError, say
from mindref_torch.checks import bind, name_of, same_float
from mindref_torch.narrow import is_narrow, rounded, wide


def embedding(table: Tensor, rows: Tensor, weights: Tensor, *, sparse: bool = False) -> Tensor:
    """Map rows (M, F) of table (V, D), with weights (M, F), to their weighted sums (M, D).

    With `sparse` the gradient of the table is a sparse tensor, as for torch.nn.Embedding. Raises
    ShapeError for shapes and types that do not fit and for a row outside the table.
    """
    sizes = bind("embedding", table=(table, "VD"), rows=(rows, "MF"), weights=(weights, "MF"))
    check_rows("embedding", rows, sizes["V"])
    if is_narrow(table, weights):
        return in_bfloat16(table, rows, weights, sparse)
    same_float("embedding", table=table, weights=weights)
    found = F.embedding(rows, table, sparse=sparse) * weights[:, :, None]  # (M, F, D)
    return found.squeeze(1) if sizes["F"] == 1 else found.sum(1)  # embedding-R1, R2: -0.0 stays


def in_bfloat16(table: Tensor, rows: Tensor, weights: Tensor, sparse: bool) -> Tensor:
    """Return the sums of a table of bfloat16: only the rows that are named are widened.

    Each is looked up once, so that its gradient is added up in float32 and rounded once.
    """
    distinct, places = rows.unique(return_inverse=True)
    found = wide(F.embedding(distinct, table, sparse=sparse))
    return rounded(embedding(found, places, wide(weights)))


def by_rows(gradient: Tensor, counting: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the distinct rows of a sparse gradient, ascending, and their values, added up.

    Rows that are not among `counting` are left out: those that are used with weight zero only. Not
    by `coalesce`, which adds up in an order that other rows have a part in.
    """
    rows, values = gradient._indices()[0], gradient._values()
    if counting is not None:
        kept = torch.isin(rows, counting)  # embedding-R6
        rows, values = rows[kept], values[kept]
    distinct, places = torch.unique(rows, return_inverse=True)  # embedding-R5
    sums = values.new_zeros(len(distinct), *values.shape[1:])
    return distinct, sums.index_add_(0, places, values)  # embedding-R3


def check_rows(where: str, rows: Tensor, count: int) -> None:
    """Raise ShapeError unless rows are integers from 0 to count - 1."""
    if rows.is_floating_point() or rows.is_complex() or rows.dtype == torch.bool:
        raise ShapeError(say(f"{where}: rows", "integers", name_of(rows.dtype)))  # embedding-R7
    outside = rows[(rows < 0) | (rows >= count)]  # embedding-R4
    if len(outside):
        known = f"indices from 0 to {count - 1}"
        raise ShapeError(say(f"{where}: rows", known, int(outside[0])))
