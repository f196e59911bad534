"""Checks of embedding. Spec: specs/embedding.md."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from mindref.conformance.draws.call_changes import as_small_integers
from mindref.conformance.runner.call import Call, map_floats
from mindref.conformance.runner.check import add_check, add_comparison
from mindref.conformance.runner.context import CheckContext
from mindref.conformance.runner.gradient_check import assert_gradients_follow
from mindref.conformance.strategies import Sizes, distinct_sizes, generators, normal, share_strategy
from mindref.shapes import Array

WEIGHTS = ("ones", "means", "mixed")


@share_strategy
@st.composite
def embedding_calls(
    draw: st.DrawFn, *, kinds: tuple[str, ...] = WEIGHTS, sizes: Sizes = None
) -> Call:
    """Draw a table, row indices, weights that may be 0, and the gradient of the result (d_out)."""
    (v, d, m, f), rng = sizes or draw(distinct_sizes(4)), draw(generators())
    weights = drawn_weights(draw(st.sampled_from(kinds)), rng, m, f)
    arrays = {"table": normal(rng, v, d), "rows": rng.integers(0, v, (m, f)), "weights": weights}
    return Call("embedding", arrays, {}, normal(rng, m, d))


def drawn_weights(how: str, rng: np.random.Generator, m: int, f: int) -> Array:
    """Return weights (m, f). `how`: "ones" (all 1), "means" (all 1 / f) or "mixed" (random)."""
    if how == "mixed":
        return rng.random((m, f)) * (rng.random((m, f)) < 0.7)
    return np.full((m, f), 1.0 if how == "ones" else 1 / f)


@add_check("embedding-R2", draws=embedding_calls())
def lookup_with_weight_one_copies_the_row(context: CheckContext, call: Call) -> None:
    """The vector of one table row with weight 1 must equal this row bit for bit."""
    rows, weights = call.arrays["rows"][:, :1], np.ones_like(call.arrays["weights"][:, :1])
    got = context.run(call.change(rows=rows, weights=weights))
    context.assert_exact(got, "out", call.arrays["table"][rows[:, 0]])


@add_check("embedding-R2", "backend-R12", draws=embedding_calls())
def lookup_of_adjacent_rows_is_not_a_view(context: CheckContext, call: Call) -> None:
    """A look-up of all rows in order must return a copy of the table, not a view."""
    table = call.arrays["table"]
    rows = np.arange(len(table))[:, None]
    got = context.run(call.change(rows=rows, weights=np.ones_like(table[:, :1])))
    context.assert_exact(got, "out", table)


@add_check("embedding-R1", draws=embedding_calls())
def weighted_sums_of_small_integers_are_exact(context: CheckContext, call: Call) -> None:
    """Weighted sums of small integers must be exact."""
    call = as_small_integers(call)
    table, rows, weights = call.arrays.values()
    context.assert_exact(context.run(call), "out", np.einsum("mf,mfd->md", weights, table[rows]))


@add_check("embedding-R3", draws=embedding_calls(), gradient=True)
def gradient_of_a_repeated_row_is_summed(context: CheckContext, call: Call) -> None:
    """The gradient of a row must be the sum over all uses of the row, exact for small integers."""
    call = as_small_integers(call)
    table, rows, weights = call.arrays.values()
    assert call.cotangent is not None
    expected = np.zeros_like(table)
    np.add.at(expected, rows, weights[:, :, None] * call.cotangent[:, None, :])
    context.assert_exact(context.run(call), "d_table", expected)


@add_check("notation-R5", draws=embedding_calls(), stem="embedding", gradient=True)
def row_zero_is_not_padding(context: CheckContext, call: Call) -> None:
    """Row 0 must be looked up and must receive a gradient like any other row."""
    context.run(call)
    zeros = as_small_integers(call.change(rows=np.zeros_like(call.arrays["rows"])))
    ones = map_floats(lambda x: np.where(x == 0, 1, x).astype(x.dtype), zeros.arrays)
    zeros = zeros._replace(arrays=ones)  # a factor 0 would hide mistakes
    total = zeros.arrays["weights"].sum(axis=1, keepdims=True)
    got = context.run(zeros)
    context.assert_exact(got, "out", total * zeros.arrays["table"][0])
    expected = np.sum(total * np.asarray(zeros.cotangent), axis=0)
    first_row = np.arange(len(got["d_table"]))[:, None] == 0
    context.assert_exact(got, "d_table", expected, mask=first_row)


@add_check("embedding-R5", draws=embedding_calls(), gradient=True)
def row_indices_are_unique_and_ascending(context: CheckContext, call: Call) -> None:
    """The row indices of a row-sparse gradient must be unique and ascending."""
    got = context.run(call)
    rows = got.get("rows", np.empty(0, int))  # a dense gradient lists no rows
    message = f"the gradient lists the rows {rows.tolist()}, expected unique and ascending"
    context.assert_true((np.diff(rows) > 0).all(), message, got, "rows")


@add_check("embedding-R6", draws=embedding_calls(), gradient=True)
def row_with_weight_zero_has_no_gradient(context: CheckContext, call: Call) -> None:
    """A row used only with weight 0 must have gradient 0; a sparse gradient must omit the row."""
    rows = call.arrays["rows"]
    silent = rows.reshape(-1)[0]
    context.run(call)
    got = context.run(call.change(weights=np.where(rows == silent, 0, call.arrays["weights"])))
    listed = got.get("rows", np.empty(0, int))
    message = f"row {silent} has weight 0, but the gradient lists it"
    context.assert_true(silent not in listed, message, got, "rows")
    context.assert_exact(got, "d_table", 0, mask=np.arange(len(got["d_table"]))[:, None] == silent)


@add_check("embedding-R1, R3", draws=embedding_calls(), gradient=True)
def reordering_vectors_reorders_results(context: CheckContext, call: Call) -> None:
    """Reordering the vectors of a batch must reorder `out` and must not change `d_table`."""
    order = context.rng.permutation(len(call.arrays["rows"]))
    assert call.cotangent is not None
    moved = {name: call.arrays[name][order] for name in ("rows", "weights")}
    second = context.run(call.change(**moved, cotangent=call.cotangent[order]))
    first = context.run(call)
    context.assert_same(second, first, through={"out": lambda x: x[order]})


@add_check("embedding-R1, R3", draws=embedding_calls(), gradient=True)
def empty_batches_and_empty_rows_are_allowed(context: CheckContext, call: Call) -> None:
    """An empty batch must give no vectors; if F = 0, every vector must be zero."""
    assert call.cotangent is not None
    context.run(call)
    rows, weights = call.arrays["rows"], call.arrays["weights"]
    none = call.change(rows=rows[:0], weights=weights[:0], cotangent=call.cotangent[:0])
    unpooled = call.change(rows=rows[:, :0], weights=weights[:, :0])
    for empty in (none, unpooled):
        got = context.run(empty)
        zeros = np.zeros((len(empty.arrays["rows"]), got["d_table"].shape[1]))
        context.assert_exact(got, "out", zeros)
        context.assert_exact(got, "d_table", 0)


@add_check("embedding-R4", draws=embedding_calls())
def row_outside_the_table_raises(context: CheckContext, call: Call) -> None:
    """A row index below 0 or beyond the last row must raise an error."""
    context.run(call)
    rows, count = call.arrays["rows"], len(call.arrays["table"])
    position = context.rng.integers(rows.size)
    for outside in (count, -1, -count, count + 7):
        changed = np.array(rows)
        changed.reshape(-1)[position] = outside
        context.assert_raises(call.change(rows=changed))


@add_check("embedding-R7", draws=embedding_calls())
def non_integer_rows_raise(context: CheckContext, call: Call) -> None:
    """Row indices of dtype float or bool must raise an error."""
    context.run(call)
    for dtype in (np.float64, np.float32, np.bool_):
        context.assert_raises(call.change(rows=(call.arrays["rows"] > 0).astype(dtype)))


@add_check("embedding-R3", draws=embedding_calls(), gradient=True, fraction=0.3)
def embedding_gradient_matches_finite_differences(context: CheckContext, call: Call) -> None:
    """In float64, the gradient must match central differences of the backend's forward."""
    assert_gradients_follow(context, call)


@add_comparison("embedding-R1", draws=embedding_calls())
def vectors_match_the_reference() -> None:
    """The vectors that forward returns must match the reference."""


@add_comparison("embedding-R3", draws=embedding_calls(), parts=("d_table",))
def embedding_gradient_matches_the_reference() -> None:
    """The gradient of the table must match the reference."""
