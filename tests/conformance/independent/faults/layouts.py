"""Faults that are wrong for a memory layout, a dtype or a view."""

from __future__ import annotations

import numpy as np

from mindref.ops.embedding import RowGradient
from mindref.shapes import Array, Bools, Ints
from tests.conformance.independent.embedding import Embedding
from tests.conformance.independent.faults.catalogue import (
    LAYOUT,
    FaultyBackend,
    faulty_backend,
    faulty_operator,
)
from tests.conformance.independent.label_attention import AttentionSaved, LabelAttention
from tests.conformance.independent.relu_layer import ReluLayer, ReluSaved
from tests.conformance.independent.sampled_softmax import SampledSoftmax
from tests.conformance.independent.softmax import Softmax, SoftmaxSaved
from tests.conformance.independent.squash import SquashSaved

COMPARED = "layouts/integer_types_are_compared_as_numbers"
REPEATED = "layouts/repeated_rows_of_the_cotangent_have_no_influence"


@faulty_operator("relu_layer", f"{LAYOUT}[relu_layer]")
class WeightInMemoryOrder(ReluLayer):
    """A Fortran-ordered weight is read in the order of memory, so it is permuted."""

    def forward(
        self, x: Array, weight: Array, bias: Array, *, relu: bool
    ) -> tuple[Array, ReluSaved]:
        permuted = weight.ravel(order="K").reshape(weight.shape)
        out, saved = super().forward(x, permuted, bias, relu=relu)
        return out, saved._replace(weight=weight)


@faulty_operator("softmax", f"{LAYOUT}[softmax]")
class NegativeStrideDropped(Softmax):
    """Logits with a negative stride are read forwards, because the sign of the stride is lost."""

    def forward(self, logits: Array, mask: Bools, *, axis: int) -> tuple[Array, SoftmaxSaved]:
        for index, stride in enumerate(logits.strides):
            if stride < 0:
                logits = np.flip(logits, index)
        return super().forward(logits, mask, axis=axis)


@faulty_operator("embedding", "layouts/products_with_narrow_rows_do_not_wrap")
class OffsetInIdType(Embedding):
    """The offset row * D has the dtype of the rows, so it wraps beyond the largest number."""

    def gather_rows(self, table: Array, rows: Ints) -> Array:
        width = table.shape[1]
        offset = rows * np.array(width).astype(rows.dtype)
        return table.reshape(-1)[offset.astype(np.int64)[:, None] + np.arange(width)]


@faulty_operator(
    "sampled_softmax", "layouts/integer_types_are_compared_as_numbers[sampled_softmax]"
)
class IdsInTargetType(SampledSoftmax):
    """Ids of negatives are converted to the dtype of the target ids, where they may not fit."""

    def accidental_hits(self, target_ids: Ints, negative_ids: Ints) -> Bools:
        return super().accidental_hits(target_ids, negative_ids.astype(target_ids.dtype))


@faulty_operator("relu_layer", f"{REPEATED}[relu_layer]")
class RepeatedGradientRow(ReluLayer):
    """If the rows of d_out have stride 0, the mask of the first row rectifies all rows."""

    def rectifier_backward(self, d_out: Array, passed: Bools | None) -> Array:
        if passed is not None and len(d_out) > 1 and d_out.strides[0] == 0:
            return np.broadcast_to(np.where(passed[0], d_out[0], 0), d_out.shape)
        return super().rectifier_backward(d_out, passed)


@faulty_operator("label_attention", f"{LAYOUT}[label_attention]")
class StartOfBase(LabelAttention):
    """A target that is a view is read from the start of the array that owns the memory."""

    def forward(
        self, interests: Array, target: Array, active: Bools, *, power: float
    ) -> tuple[Array, AttentionSaved]:
        return super().forward(interests, self.read_start(target), active, power=power)

    def read_start(self, target: Array) -> Array:
        base = target.base
        if not isinstance(base, np.ndarray) or base.dtype != target.dtype:
            return target
        is_contiguous = target.flags.c_contiguous and base.flags.c_contiguous
        if base.size < target.size or not is_contiguous:
            return target
        return base.reshape(-1)[: target.size].reshape(target.shape)


@faulty_operator("sampled_softmax", "numerics/inputs_are_not_modified[sampled_softmax]")
class NormalisedInPlace(SampledSoftmax):
    """With `normalise`, writeable vectors are scaled in place."""

    def to_unit_length(self, x: Array) -> tuple[Array, SquashSaved]:
        unit, saved = super().to_unit_length(x)
        if x.flags.writeable:
            x[...] = unit
        return unit, saved


@faulty_operator(
    "embedding",
    reason="Big-endian ids are outside the contract: rows have the byte order of the machine"
    " (numerics-R15).",
)
class RowsNotSwapped(Embedding):
    """With big-endian rows, the rows of the gradient have their bytes in the wrong order."""

    def sum_rows(self, rows: Ints, values: Array) -> RowGradient:
        gradient = super().sum_rows(rows, values)
        return gradient._replace(rows=gradient.rows.view(gradient.rows.dtype.newbyteorder("=")))


@faulty_operator("embedding", "layouts/integer_type_has_no_influence[embedding]")
class UnsignedNegated(Embedding):
    """Rows are sorted by their negatives, which wrap if unsigned, so row 0 becomes the last."""

    def sum_rows(self, rows: Ints, values: Array) -> RowGradient:
        gradient = super().sum_rows(rows, values)
        order = np.argsort(-gradient.rows, kind="stable")[::-1]
        return RowGradient(gradient.rows[order], gradient.values[order])


@faulty_backend("layouts/memory_layout_changes_no_interest")
class ItemsInMemoryOrder(FaultyBackend):
    """Fortran-ordered ids of histories are read in the order of memory, so they are permuted."""

    def behaviour_ids(self, items: Ints, mask: Bools) -> Ints:
        return items.ravel(order="K")[mask.ravel(order="K")]
