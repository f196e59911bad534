"""Vectors of items: weighted sums of rows of one table. Spec: specs/embedding.md."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mindref.errors import ShapeError, say
from mindref_torch.mixed_precision import is_bfloat16, round_to_bfloat16, to_float32
from mindref_torch.shapes import bind_axes, dtype_name, require_float_dtype


def embedding(table: Tensor, rows: Tensor, weights: Tensor, *, sparse: bool = False) -> Tensor:
    """Map rows (M, F) of table (V, D), with weights (M, F), to their weighted sums (M, D).

    With `sparse` the gradient of the table is a sparse tensor, as for torch.nn.Embedding. Raises
    ShapeError if shapes or dtypes do not match or a row is outside the table.
    """
    sizes = bind_axes("embedding", table=(table, "VD"), rows=(rows, "MF"), weights=(weights, "MF"))
    check_row_indices("embedding", rows, sizes["V"])
    if is_bfloat16(table, weights):
        return embed_bfloat16(table, rows, weights, sparse)
    require_float_dtype("embedding", table=table, weights=weights)
    weighted = F.embedding(rows, table, sparse=sparse) * weights[:, :, None]  # (M, F, D)
    # embedding-R1, R2: squeeze keeps -0.0
    return weighted.squeeze(1) if sizes["F"] == 1 else weighted.sum(1)


def embed_bfloat16(table: Tensor, rows: Tensor, weights: Tensor, sparse: bool) -> Tensor:
    """Return the weighted sums of a table of bfloat16; only used rows are converted to float32.

    Each distinct row is looked up once. Therefore its gradient is summed in float32 and rounded
    once.
    """
    distinct, index = rows.unique(return_inverse=True)
    vectors = to_float32(F.embedding(distinct, table, sparse=sparse))
    return round_to_bfloat16(embedding(vectors, index, to_float32(weights)))


def sum_sparse_rows(gradient: Tensor, used_rows: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the distinct rows of a sparse gradient, ascending, and the sum of the values of each.

    Rows outside `used_rows` are omitted: these rows have weight zero only. `coalesce` is not used,
    because its order of summation depends on other rows.
    """
    rows, values = gradient._indices()[0], gradient._values()
    if used_rows is not None:
        used = torch.isin(rows, used_rows)  # embedding-R6
        rows, values = rows[used], values[used]
    if (rows[1:] > rows[:-1]).all():
        return rows, values
    distinct, index = torch.unique(rows, return_inverse=True)  # embedding-R5
    sums = values.new_zeros(len(distinct), *values.shape[1:])
    return distinct, sums.index_add_(0, index, values)  # embedding-R3


def check_row_indices(subject: str, rows: Tensor, count: int) -> None:
    """Raise ShapeError unless rows are integers from 0 to count - 1."""
    if rows.is_floating_point() or rows.is_complex() or rows.dtype == torch.bool:
        # embedding-R7
        raise ShapeError(say(f"{subject}: rows", "integers", dtype_name(rows.dtype)))
    if not rows.numel():
        return
    smallest, largest = map(int, rows.aminmax())
    if smallest < 0 or largest >= count:  # embedding-R4
        outside = rows[(rows < 0) | (rows >= count)]
        expected = f"indices from 0 to {count - 1}"
        raise ShapeError(say(f"{subject}: rows", expected, int(outside[0])))
