"""What is asked of embedding. Spec: specs/embedding.md."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from mindref.conformance.draws.slopes import follow_from_forward
from mindref.conformance.draws.whole_numbers import whole
from mindref.conformance.judging.call import Call, mapped
from mindref.conformance.judging.check import check
from mindref.conformance.judging.judge import Judge
from mindref.conformance.strategies import generators, normal, sizes
from mindref.shapes import Array

WEIGHTS = ("ones", "means", "mixed")


@st.composite
def calls(draw: st.DrawFn) -> Call:
    """Draw a table, rows of it with repeats, weights with zeros among them, a cotangent."""
    (v, d, m, f), rng = draw(sizes(4)), draw(generators())
    weights = drawn_weights(draw(st.sampled_from(WEIGHTS)), rng, m, f)
    arrays = {"table": normal(rng, v, d), "rows": rng.integers(0, v, (m, f)), "weights": weights}
    return Call("embedding", arrays, {}, normal(rng, m, d))


def drawn_weights(how: str, rng: np.random.Generator, m: int, f: int) -> Array:
    """Return (M, F): all one, those of a mean, or any from zero on."""
    if how == "mixed":
        return rng.random((m, f)) * (rng.random((m, f)) < 0.7)
    return np.full((m, f), 1.0 if how == "ones" else 1 / f)


@check("embedding-R2", draws=calls(), stem="embedding")
def a_plain_look_up_is_the_row_itself(judge: Judge, call: Call) -> None:
    """With one row of weight one for each vector, the result is that row, bit for bit."""
    rows, weights = call.arrays["rows"][:, :1], np.ones_like(call.arrays["weights"][:, :1])
    got = judge.ask(call.change(rows=rows, weights=weights).forward_only())
    judge.exactly(got, "out", call.arrays["table"][rows[:, 0]])


@check("embedding-R2", "backend-R12", draws=calls(), stem="embedding")
def a_look_up_of_neighbouring_rows_is_no_view(judge: Judge, call: Call) -> None:
    """The whole table looked up in order is equal to it, in memory of its own."""
    table = call.arrays["table"]
    rows = np.arange(len(table))[:, None]
    got = judge.ask(call.change(rows=rows, weights=np.ones_like(table[:, :1])).forward_only())
    judge.exactly(got, "out", table)


@check("embedding-R1", draws=calls(), stem="embedding")
def weighted_sums_of_small_integers_are_exact(judge: Judge, call: Call) -> None:
    """In small integers nothing rounds: the result is the weighted sum, bit for bit."""
    call = whole(call).forward_only()
    table, rows, weights = call.arrays.values()
    judge.exactly(judge.ask(call), "out", np.einsum("mf,mfd->md", weights, table[rows]))


@check("embedding-R3", draws=calls(), stem="embedding", gradient=True)
def gradients_of_a_row_that_is_used_twice_add_up(judge: Judge, call: Call) -> None:
    """In small integers the gradient of a row is the exact sum over all places that use it."""
    call = whole(call)
    table, rows, weights = call.arrays.values()
    assert call.cotangent is not None
    wanted = np.zeros_like(table)
    np.add.at(wanted, rows, weights[:, :, None] * call.cotangent[:, None, :])
    judge.exactly(judge.ask(call), "d_table", wanted)


@check("notation-R5", draws=calls(), stem="embedding", gradient=True)
def row_zero_is_a_row_like_any_other(judge: Judge, call: Call) -> None:
    """Row 0 is no padding: it is looked up and receives its gradient, in small integers exactly."""
    judge.ask(call)
    zeros = whole(call.change(rows=np.zeros_like(call.arrays["rows"])))
    zeros = zeros._replace(arrays=mapped(without_zeros, zeros.arrays))
    total = zeros.arrays["weights"].sum(axis=1, keepdims=True)
    got = judge.ask(zeros)
    judge.exactly(got, "out", total * zeros.arrays["table"][0])
    wanted = np.sum(total * np.asarray(zeros.cotangent), axis=0)
    judge.exactly(got, "d_table", wanted, where=np.arange(len(got["d_table"]))[:, None] == 0)


@check("embedding-R5", draws=calls(), stem="embedding", gradient=True)
def each_row_is_named_once_in_ascending_order(judge: Judge, call: Call) -> None:
    """A row-sparse gradient names its rows in ascending order, none of them twice."""
    got = judge.ask(call)
    rows = got.get("rows", np.empty(0, int))  # a whole table names none
    judge.holds((np.diff(rows) > 0).all(), f"rows are {rows.tolist()}", got, "rows")


@check("embedding-R6", draws=calls(), stem="embedding", gradient=True)
def a_row_of_weight_zero_is_not_named(judge: Judge, call: Call) -> None:
    """A row that is used with weight zero only is not named, and its gradient is zero."""
    rows = call.arrays["rows"]
    silent = rows.reshape(-1)[0]
    judge.ask(call)
    got = judge.ask(call.change(weights=np.where(rows == silent, 0, call.arrays["weights"])))
    named = got.get("rows", np.empty(0, int))
    judge.holds(silent not in named, f"row {silent} has weight zero and is named", got, "rows")
    judge.exactly(got, "d_table", 0, where=np.arange(len(got["d_table"]))[:, None] == silent)


@check("embedding-R1", "embedding-R3", draws=calls(), stem="embedding", gradient=True)
def vectors_do_not_depend_on_their_neighbours(judge: Judge, call: Call) -> None:
    """Vectors in another order are the same vectors, and the gradient of the table is the same."""
    order = judge.rng.permutation(len(call.arrays["rows"]))
    assert call.cotangent is not None
    moved = {name: call.arrays[name][order] for name in ("rows", "weights")}
    second = judge.ask(call.change(**moved, cotangent=call.cotangent[order]))
    first = judge.ask(call)
    judge.same(second, first, through={"out": lambda x: x[order]})


@check("embedding-R1", "embedding-R3", draws=calls(), stem="embedding", gradient=True)
def no_vectors_and_no_rows_to_pool_are_no_error(judge: Judge, call: Call) -> None:
    """No vectors give none and no gradient; vectors of no rows are zero."""
    assert call.cotangent is not None
    judge.ask(call)
    rows, weights = call.arrays["rows"], call.arrays["weights"]
    none = call.change(rows=rows[:0], weights=weights[:0], cotangent=call.cotangent[:0])
    unpooled = call.change(rows=rows[:, :0], weights=weights[:, :0])
    for empty in (none, unpooled):
        got = judge.ask(empty)
        judge.exactly(got, "out", np.zeros((len(empty.arrays["rows"]), got["d_table"].shape[1])))
        judge.exactly(got, "d_table", 0)


@check("embedding-R4", draws=calls(), stem="embedding")
def a_row_outside_the_table_is_refused(judge: Judge, call: Call) -> None:
    """One row beyond the last or before the first is refused."""
    judge.ask(call)
    rows, count = call.arrays["rows"], len(call.arrays["table"])
    place = judge.rng.integers(rows.size)
    for outside in (count, -1, -count, count + 7):
        judge.refuses(call.change(rows=replaced(rows, place, outside)))


@check("embedding-R7", draws=calls(), stem="embedding")
def rows_that_are_no_integers_are_refused(judge: Judge, call: Call) -> None:
    """Rows of floats or of truth values are refused, even if they are whole."""
    judge.ask(call)
    for dtype in (np.float64, np.float32, np.bool_):
        judge.refuses(call.change(rows=(call.arrays["rows"] > 0).astype(dtype)))


@check("embedding-R3", draws=calls(), stem="embedding", gradient=True, share=0.3)
def the_gradient_follows_from_forward(judge: Judge, call: Call) -> None:
    """The gradient is the slope of the backend's own forward (central differences, float64)."""
    follow_from_forward(judge, call)


@check("embedding-R1", draws=calls(), stem="embedding", agreement=True)
def vectors_are_those_of_the_reference(judge: Judge, call: Call) -> None:
    """Forward agrees with the reference."""
    judge.agree(call.forward_only())


@check("embedding-R3", draws=calls(), stem="embedding", gradient=True, agreement=True)
def the_gradient_is_that_of_the_reference(judge: Judge, call: Call) -> None:
    """Backward agrees with the reference, for a random cotangent."""
    judge.agree(call, "d_table")


def without_zeros(x: Array) -> Array:
    """Return x with ones in the places of zeros, in which a mistake would not show."""
    return np.where(x == 0, np.ones_like(x), x)


def replaced(rows: np.ndarray, place: int, value: int) -> np.ndarray:
    """Return the rows with another one in one place."""
    changed = np.array(rows)
    changed.reshape(-1)[place] = value
    return changed
