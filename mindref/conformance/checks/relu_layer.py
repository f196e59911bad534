"""Checks of the affine layer with ReLU. Spec: specs/relu_layer.md."""

from __future__ import annotations

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from mindref.conformance.draws.call_changes import as_small_integers, replace_at
from mindref.conformance.runner.call import AnyArray, Call
from mindref.conformance.runner.check import add_check, add_comparison
from mindref.conformance.runner.context import CheckContext
from mindref.conformance.runner.gradient_check import assert_gradients_follow
from mindref.conformance.strategies import Sizes, distinct_sizes, generators, normal, share_strategy

SCALES = (1.0, 0.1, 3.0)
MIN_DISTANCE = 1e-4
"""Every drawn |x W + b| exceeds this number times the scale of x: rounding changes no sign."""


@share_strategy
@st.composite
def relu_layer_calls(
    draw: st.DrawFn,
    *,
    relu: tuple[bool, ...] = (True, False),
    close: float = MIN_DISTANCE,
    sizes: Sizes = None,
) -> Call:
    """Draw x, W, b and d_out, with every |x W + b| above `close` times the scale of x."""
    (m, i, o), rng = sizes or draw(distinct_sizes(3)), draw(generators())
    scale = draw(st.sampled_from(SCALES))
    x, bias = normal(rng, m, i, scale=scale), normal(rng, o, scale=scale)
    weight = normal(rng, i, o, scale=i**-0.5)
    assume(np.abs(x @ weight + bias).min() > close * scale)
    arrays = {"x": x, "weight": weight, "bias": bias}
    return Call("relu_layer", arrays, {"relu": draw(st.sampled_from(relu))}, normal(rng, m, o))


@add_check("relu_layer-R1", draws=relu_layer_calls(relu=(False,)))
def affine_sums_of_small_integers_are_exact(context: CheckContext, call: Call) -> None:
    """For small integers, x W + b must be exact."""
    call = as_small_integers(call)
    context.assert_exact(context.run(call), "out", pre_activations(call))


@add_check("relu_layer-R2", draws=relu_layer_calls())
def relu_clips_at_zero(context: CheckContext, call: Call) -> None:
    """The result must be max(x W + b, 0) with relu=True, and x W + b with relu=False."""
    call = as_small_integers(call)
    sums = pre_activations(call)
    context.assert_exact(context.run(call.change(relu=True)), "out", np.maximum(sums, 0))
    context.assert_exact(context.run(call.change(relu=False)), "out", sums)


@add_check("relu_layer-R3", draws=relu_layer_calls(relu=(True,)), gradient=True)
def relu_blocks_gradients_at_zero_and_below(context: CheckContext, call: Call) -> None:
    """If x W + b is nowhere positive, the ReLU must give a result and gradients of exactly 0."""
    context.run(call)
    x, bias = np.zeros_like(call.arrays["x"]), -np.abs(call.arrays["bias"])
    bias[0] = 0
    got = context.run(call.change(x=x, bias=bias))
    for name in ("out", "d_x", "d_weight", "d_bias"):
        context.assert_exact(got, name, 0)


@add_check("relu_layer-R4, R3", draws=relu_layer_calls(), gradient=True)
def gradients_of_small_integers_are_exact(context: CheckContext, call: Call) -> None:
    """For small integers, all gradients must be exact."""
    call = as_small_integers(call)
    x, weight, _ = call.arrays.values()
    passed = np.asarray(call.cotangent) * ((pre_activations(call) > 0) | (not call.numbers["relu"]))
    got = context.run(call)
    context.assert_exact(got, "d_x", passed @ weight.T)
    context.assert_exact(got, "d_weight", x.T @ passed)
    context.assert_exact(got, "d_bias", passed.sum(axis=0))


@add_check("relu_layer-R4", draws=relu_layer_calls(), gradient=True)
def row_does_not_depend_on_the_batch(context: CheckContext, call: Call) -> None:
    """Permuting the rows of x and d_out must only permute the rows of out and d_x."""
    order = context.rng.permutation(len(call.arrays["x"]))
    moved = call.change(x=call.arrays["x"][order], cotangent=np.asarray(call.cotangent)[order])
    rows = {name: lambda x: x[order] for name in ("out", "d_x")}
    first = context.run(call)
    context.assert_same(context.run(moved), first, through=rows)


@add_check("relu_layer-R1, R4", draws=relu_layer_calls(), gradient=True)
def empty_batch_of_rows_is_allowed(context: CheckContext, call: Call) -> None:
    """A batch without rows must give an empty result and zero gradients of W and b."""
    context.run(call)
    got = context.run(call.change(x=call.arrays["x"][:0], cotangent=np.asarray(call.cotangent)[:0]))
    context.assert_exact(got, "d_weight", np.zeros_like(call.arrays["weight"]))
    context.assert_exact(got, "d_bias", np.zeros_like(call.arrays["bias"]))
    context.assert_true(got["out"].shape == (0, len(got["d_bias"])), "out is not empty", got, "out")


@add_check("relu_layer-R7", "numerics-R5", draws=relu_layer_calls(), gradient=True)
def relu_propagates_nan(context: CheckContext, call: Call) -> None:
    """A NaN bias must give a NaN column in out; its gradient must be the column sum of d_out."""
    context.run(call)
    call = as_small_integers(call)
    bias = replace_at(call.arrays["bias"], 0, np.nan)
    got = context.run(call.change(bias=bias))
    context.assert_exact(got, "out", np.nan, mask=np.arange(len(bias)) == 0)
    passed = np.asarray(call.cotangent).sum(axis=0)
    context.assert_exact(got, "d_bias", passed, mask=np.arange(len(bias)) == 0)


@add_check("relu_layer-R2", "numerics-R13", draws=relu_layer_calls(), gradient=True)
def relu_maps_minus_infinity_to_zero(context: CheckContext, call: Call) -> None:
    """With ReLU, if bias[j] is -infinity, column j of out and gradients must be 0."""
    context.run(call)
    bias = replace_at(call.arrays["bias"], 0, -np.inf)
    got = context.run(call.change(bias=bias, relu=True))
    first = np.arange(len(bias)) == 0
    for name in ("out", "d_weight", "d_bias"):
        context.assert_exact(got, name, 0, mask=first)


@add_check("relu_layer-R5", draws=relu_layer_calls())
def shapes_that_would_broadcast_raise(context: CheckContext, call: Call) -> None:
    """Arrays whose shapes disagree must raise an error, even if NumPy can broadcast them."""
    context.run(call)
    x, weight, bias = call.arrays.values()
    wide = np.concatenate([weight, weight], axis=1)
    for wrong in (bias[:1], bias[0], np.zeros_like(x[:, :1]), np.zeros_like(x @ wide)):
        context.assert_raises(call.change(weight=wide, bias=wrong))
    context.assert_raises(call.change(x=np.concatenate([x, x], axis=1)[:, : x.shape[1] + 1]))
    context.assert_raises(call.change(x=x[0]))


@add_check("relu_layer-R6", draws=relu_layer_calls())
def mixed_or_integer_arrays_raise(context: CheckContext, call: Call) -> None:
    """Arrays of different float dtypes must raise an error, and so must integer arrays."""
    context.run(call)
    for name, x in call.arrays.items():
        context.assert_raises(call.change(**{name: x.astype(call.other_dtype)}))
    integers = {name: x.astype(np.int64) for name, x in call.arrays.items()}
    context.assert_raises(call.change(**integers))


@add_check("relu_layer-R4", draws=relu_layer_calls(close=0.02), gradient=True, fraction=0.3)
def relu_layer_gradient_matches_finite_differences(context: CheckContext, call: Call) -> None:
    """In float64, the gradient must match central differences of the backend's forward."""
    assert_gradients_follow(context, call)


@add_comparison("relu_layer-R1, R2", draws=relu_layer_calls())
def relu_layer_matches_the_reference() -> None:
    """With or without ReLU, the result of forward must match the reference."""


@add_comparison("relu_layer-R4", draws=relu_layer_calls(), parts=("d_x", "d_weight", "d_bias"))
def relu_layer_gradients_match_the_reference() -> None:
    """For a random cotangent d_out, every gradient must match the reference."""


def pre_activations(call: Call) -> AnyArray:
    """Return x W + b."""
    x, weight, bias = call.arrays.values()
    return np.asarray(x @ weight + bias)
