"""What is asked of an affine layer. Spec: specs/relu_layer.md."""

from __future__ import annotations

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from mindref.conformance.draws.slopes import follow_from_forward
from mindref.conformance.draws.whole_numbers import whole
from mindref.conformance.judging.call import Anything, Call
from mindref.conformance.judging.check import check
from mindref.conformance.judging.judge import Judge
from mindref.conformance.strategies import generators, normal, sizes

SCALES = (1.0, 0.1, 3.0)
CLOSE = 1e-4
"""Relative to the scale; sums nearer to the bend at zero are not drawn: rounding may cross it."""


@st.composite
def calls(draw: st.DrawFn, *, relu: tuple[bool, ...] = (True, False), close: float = CLOSE) -> Call:
    """Draw rows, a weight, a bias and a cotangent, no sum within `close` of the bend."""
    (m, i, o), rng = draw(sizes(3)), draw(generators())
    scale = draw(st.sampled_from(SCALES))
    x, bias = normal(rng, m, i, scale=scale), normal(rng, o, scale=scale)
    weight = normal(rng, i, o, scale=i**-0.5)
    assume(np.abs(x @ weight + bias).min() > close * scale)
    arrays = {"x": x, "weight": weight, "bias": bias}
    return Call("relu_layer", arrays, {"relu": draw(st.sampled_from(relu))}, normal(rng, m, o))


@check("relu_layer-R1", draws=calls(relu=(False,)), stem="relu_layer")
def sums_of_small_integers_are_exact(judge: Judge, call: Call) -> None:
    """In small integers nothing rounds: each sum, bias included, is right to the bit."""
    call = whole(call).forward_only()
    judge.exactly(judge.ask(call), "out", sums(call))


@check("relu_layer-R2", draws=calls(), stem="relu_layer")
def the_rectifier_takes_the_larger_of_zero_and_the_sum(judge: Judge, call: Call) -> None:
    """In small integers, zero among them, `relu` cuts at zero; without it nothing is cut."""
    call = whole(call).forward_only()
    judge.exactly(judge.ask(call.change(relu=True)), "out", np.maximum(sums(call), 0))
    judge.exactly(judge.ask(call.change(relu=False)), "out", sums(call))


@check("relu_layer-R3", draws=calls(relu=(True,)), stem="relu_layer", gradient=True)
def no_gradient_passes_at_zero_or_below(judge: Judge, call: Call) -> None:
    """Rows of zeros with a bias of zero or below: at the bend, too, gradients are exactly zero."""
    judge.ask(call)
    x, bias = np.zeros_like(call.arrays["x"]), -np.abs(call.arrays["bias"])
    bias[0] = 0
    got = judge.ask(call.change(x=x, bias=bias))
    for name in ("out", "d_x", "d_weight", "d_bias"):
        judge.exactly(got, name, 0)


@check("relu_layer-R4", "relu_layer-R3", draws=calls(), stem="relu_layer", gradient=True)
def gradients_in_small_integers_are_exact(judge: Judge, call: Call) -> None:
    """In small integers each gradient is the exact sum of what passes, over all rows."""
    call = whole(call)
    x, weight, _ = call.arrays.values()
    passed = np.asarray(call.cotangent) * ((sums(call) > 0) | (not call.numbers["relu"]))
    got = judge.ask(call)
    judge.exactly(got, "d_x", passed @ weight.T)
    judge.exactly(got, "d_weight", x.T @ passed)
    judge.exactly(got, "d_bias", passed.sum(axis=0))


@check("relu_layer-R4", draws=calls(), stem="relu_layer", gradient=True)
def rows_do_not_see_each_other(judge: Judge, call: Call) -> None:
    """Rows in another order are the same rows; the gradients of weight and bias stay."""
    order = judge.rng.permutation(len(call.arrays["x"]))
    moved = call.change(x=call.arrays["x"][order], cotangent=np.asarray(call.cotangent)[order])
    rows = {name: lambda x: x[order] for name in ("out", "d_x")}
    first = judge.ask(call)
    judge.same(judge.ask(moved), first, through=rows)


@check("relu_layer-R1", "relu_layer-R4", draws=calls(), stem="relu_layer", gradient=True)
def no_rows_are_no_error(judge: Judge, call: Call) -> None:
    """Without rows nothing comes out, and the gradients of weight and bias are zero."""
    judge.ask(call)
    got = judge.ask(call.change(x=call.arrays["x"][:0], cotangent=np.asarray(call.cotangent)[:0]))
    judge.exactly(got, "d_weight", np.zeros_like(call.arrays["weight"]))
    judge.exactly(got, "d_bias", np.zeros_like(call.arrays["bias"]))
    judge.holds(got["out"].shape == (0, len(got["d_bias"])), "out has rows", got, "out")


@check("relu_layer-R7", "numerics-R5", draws=calls(), stem="relu_layer", gradient=True)
def a_nan_is_not_taken_for_a_number_below_zero(judge: Judge, call: Call) -> None:
    """A column whose bias is NaN comes out as NaN and lets the whole cotangent pass."""
    judge.ask(call)
    call = whole(call)
    bias = np.array(call.arrays["bias"])
    bias[0] = np.nan
    got = judge.ask(call.change(bias=bias))
    judge.exactly(got, "out", np.nan, where=np.arange(len(bias)) == 0)
    passed = np.asarray(call.cotangent).sum(axis=0)
    judge.exactly(got, "d_bias", passed, where=np.arange(len(bias)) == 0)


@check("relu_layer-R2", "numerics-R13", draws=calls(), stem="relu_layer", gradient=True)
def minus_infinity_is_rectified_to_zero(judge: Judge, call: Call) -> None:
    """A column whose bias is -infinity is zero behind the rectifier and lets nothing pass."""
    judge.ask(call)
    bias = np.array(call.arrays["bias"])
    bias[0] = -np.inf
    got = judge.ask(call.change(bias=bias, relu=True))
    first = np.arange(len(bias)) == 0
    for name in ("out", "d_weight", "d_bias"):
        judge.exactly(got, name, 0, where=first)


@check("relu_layer-R5", draws=calls(), stem="relu_layer")
def nothing_is_stretched_to_fit(judge: Judge, call: Call) -> None:
    """A bias or a weight of one number, a bias for each row: shapes that NumPy would stretch."""
    judge.ask(call)
    x, weight, bias = call.arrays.values()
    wide = np.concatenate([weight, weight], axis=1)
    for wrong in (bias[:1], bias[0], np.zeros_like(x[:, :1]), np.zeros_like(x @ wide)):
        judge.refuses(call.change(weight=wide, bias=wrong))
    judge.refuses(call.change(x=np.concatenate([x, x], axis=1)[:, : x.shape[1] + 1]))
    judge.refuses(call.change(x=x[0]))


@check("relu_layer-R6", draws=calls(), stem="relu_layer")
def types_that_differ_are_refused(judge: Judge, call: Call) -> None:
    """One array of the other float type, or all of them integers, are refused."""
    judge.ask(call)
    other = np.float32 if call.dtype == np.float64 else np.float64
    for name, x in call.arrays.items():
        judge.refuses(call.change(**{name: x.astype(other)}))
    judge.refuses(call.change(**{name: x.astype(np.int64) for name, x in call.arrays.items()}))


@check("relu_layer-R4", draws=calls(close=0.02), stem="relu_layer", gradient=True, share=0.3)
def the_gradient_follows_from_forward(judge: Judge, call: Call) -> None:
    """The gradient is the slope of the backend's own forward (central differences, float64)."""
    follow_from_forward(judge, call)


@check("relu_layer-R1", "relu_layer-R2", draws=calls(), stem="relu_layer", agreement=True)
def rows_are_those_of_the_reference(judge: Judge, call: Call) -> None:
    """Forward agrees with the reference, with the rectifier or without."""
    judge.agree(call.forward_only())


@check("relu_layer-R4", draws=calls(), stem="relu_layer", gradient=True, agreement=True)
def gradients_are_those_of_the_reference(judge: Judge, call: Call) -> None:
    """Backward agrees with the reference, for a random cotangent."""
    judge.agree(call, "d_x", "d_weight", "d_bias")


def sums(call: Call) -> Anything:
    """Return what stands before the rectifier."""
    x, weight, bias = call.arrays.values()
    return np.asarray(x @ weight + bias)
