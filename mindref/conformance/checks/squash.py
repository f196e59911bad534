"""Checks of squash. Spec: specs/squash.md."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from mindref.conformance.draws.call_changes import as_small_integers
from mindref.conformance.gradient import SHORT_STEP
from mindref.conformance.runner.call import AnyArray, Call
from mindref.conformance.runner.check import add_check, add_comparison
from mindref.conformance.runner.context import CallAnswer, CheckContext
from mindref.conformance.runner.gradient_check import assert_gradients_follow
from mindref.conformance.strategies import Sizes, distinct_sizes, generators, normal, share_strategy
from mindref.conformance.tolerances import rounding

LENGTHS = (1.0, 0.1, 10.0, 1e-3, 100.0)  # norms to draw, up to a factor from 0.5 to 1.5
PLAIN = (1.0, 0.5, 2.0)


@share_strategy
@st.composite
def squash_calls(
    draw: st.DrawFn,
    *,
    kind: str = "squash",
    lengths: tuple[float, ...] = LENGTHS,
    sizes: Sizes = None,
) -> Call:
    """Draw vectors, with norms near one of `lengths` or zero, and a cotangent (d_out)."""
    shape, rng = sizes or draw(st.integers(1, 3).flatmap(distinct_sizes)), draw(generators())
    x = np.array(normal(rng, *shape))
    x *= draw(st.sampled_from(lengths)) / np.sqrt(np.sum(x * x, axis=-1, keepdims=True))
    x *= rng.uniform(0.5, 1.5, (*shape[:-1], 1))
    if len(shape) > 1 and draw(st.booleans()):
        x[-1] = 0
    return Call("squash", {"x": x}, {"kind": kind}, normal(rng, *shape))


@add_check("squash-R3", draws=squash_calls(), gradient=True)
def zero_vector_stays_zero_with_zero_gradient(context: CheckContext, call: Call) -> None:
    """A zero vector must give a zero vector and a zero gradient, not NaN."""
    context.run(call)
    assert_zero_capsules(context, call)


@add_check("squash-R1, R2", draws=squash_calls(), gradient=True)
def unit_vector_along_an_axis_is_halved(context: CheckContext, call: Call) -> None:
    """For a unit vector x along a coordinate, out must be x / 2 and d_x must be d_out / 2."""
    context.run(call)
    call = as_small_integers(call).change(x=axis_capsules(context, call.arrays["x"]))
    got = context.run(call)
    context.assert_exact(got, "out", call.arrays["x"] / 2)
    context.assert_exact(got, "d_x", np.asarray(call.cotangent) / 2)


@add_check("squash-R4", draws=squash_calls(), gradient=True)
def squash_does_not_overflow_at_the_largest_float(context: CheckContext, call: Call) -> None:
    """If the only non-zero entry of x is +- the largest float, out must be a unit vector."""
    context.run(call)
    axes = axis_capsules(context, call.arrays["x"])
    got = context.run(call.change(x=axes * np.finfo(call.dtype).max))
    context.assert_exact(got, "out", axes)
    context.assert_true(np.isfinite(got["d_x"]).all(), "a gradient is not finite", got, "d_x")


@add_check("squash-R4", draws=squash_calls(), gradient=True)
def norm_beyond_the_largest_float_keeps_the_direction(context: CheckContext, call: Call) -> None:
    """If the norm of x exceeds the largest float, the result must be the unit vector along x."""
    context.run(call)
    signs = np.where(call.arrays["x"] < 0, -1, 1).astype(call.dtype)
    got = context.run(call.change(x=signs * np.finfo(call.dtype).max))
    expected = signs / np.sqrt(signs.shape[-1])
    near = np.abs(got["out"] - expected) <= rounding(call.dtype) * np.abs(expected)
    message = "a long vector does not become the unit vector of its direction"
    context.assert_true(near.all(), message, got, "out")
    context.assert_true(np.isfinite(got["d_x"]).all(), "a gradient is not finite", got, "d_x")


@add_check("squash-R4", draws=squash_calls(lengths=(1.0, 1e3, 1e6, 1e9)))
def squashed_norm_is_at_most_one(context: CheckContext, call: Call) -> None:
    """The norm of the result must be at most 1, up to rounding."""
    out = context.run(call)["out"].astype(np.float64)
    length = np.sqrt(np.sum(out * out, axis=-1))
    message = f"a capsule has norm {length.max():.9g}, expected at most 1"
    context.assert_true((length <= 1 + rounding(call.dtype)).all(), message)


@add_check("squash-R5", draws=squash_calls(lengths=(0.5, 1.0)), gradient=True)
def short_vectors_scale_with_the_squared_norm(context: CheckContext, call: Call) -> None:
    """If a short vector is halved, the result must be divided by four."""
    least = np.finfo(call.dtype).minexp // 2 + 4
    for exponent in (-40, least):
        scale = np.ldexp(call.dtype.type(1), exponent)
        scaled = (call.change(x=call.arrays["x"] * s) for s in (scale, scale / 2))
        first, second = map(context.run, scaled)
        context.assert_same(first, second, through={"out": lambda x: 4 * x, "d_x": lambda x: 2 * x})


@add_check("squash-R5", draws=squash_calls())
def short_vector_along_an_axis_is_squared(context: CheckContext, call: Call) -> None:
    """A vector of small norm n along a coordinate must become a vector of norm n^2."""
    context.run(call)
    axes, least = axis_capsules(context, call.arrays["x"]), np.finfo(call.dtype).minexp // 2 + 1
    for exponent in (-30, -40, least):
        got = context.run(call.change(x=np.ldexp(axes, exponent)))
        expected = np.ldexp(axes, 2 * exponent)
        near = np.abs(got["out"] - expected) <= rounding(call.dtype) * np.abs(expected)
        message = f"a vector of norm n = 2^{exponent} does not become a vector of norm n^2"
        context.assert_true(near.all(), message, got, "out")


@add_check("squash-R1, R2", draws=squash_calls(), gradient=True)
def permuting_or_negating_components_commutes(context: CheckContext, call: Call) -> None:
    """Permuting or negating components of x and d_out must do the same to out and d_x."""
    width = call.arrays["x"].shape[-1]
    order = context.rng.permutation(width)
    signs = context.rng.choice([-1, 1], width).astype(call.dtype)

    def flip_signs(x: AnyArray) -> AnyArray:
        return signs * x[..., order]

    second = call.change(
        x=flip_signs(call.arrays["x"]), cotangent=flip_signs(np.asarray(call.cotangent))
    )
    first, other = context.run(call), context.run(second)
    restored = CallAnswer(second, {name: signs * x for name, x in other.items()})
    back = np.argsort(order)
    through = {name: lambda x: x[..., back] for name in ("out", "d_x")}
    context.assert_same(first, restored, through=through)


@add_check("squash-R1, R2", draws=squash_calls(), gradient=True)
def vector_does_not_depend_on_the_batch(context: CheckContext, call: Call) -> None:
    """If x is a single vector, the result must be the same as for this vector in a larger array."""
    x, g = (a.reshape(-1, a.shape[-1]) for a in (call.arrays["x"], np.asarray(call.cotangent)))
    k = int(context.rng.integers(len(x)))

    def one(a: AnyArray) -> AnyArray:
        return a.reshape(-1, a.shape[-1])[k]

    single_vector = context.run(call.change(x=x[k], cotangent=g[k]))
    context.assert_same(single_vector, context.run(call), through={"out": one, "d_x": one})


@add_check("squash-R8", draws=squash_calls())
def unknown_kind_raises(context: CheckContext, call: Call) -> None:
    """A `kind` other than "squash", "unit" and "none" must raise an error."""
    context.assert_each_raises(call, kind=("tanh", "", "SQUASH"))


@add_check("squash-R9", draws=squash_calls())
def scalar_input_raises(context: CheckContext, call: Call) -> None:
    """An array without axes (a single number) must raise an error."""
    context.run(call)
    number = np.array(call.arrays["x"].reshape(-1)[0])
    context.assert_raises(call.change(x=number, cotangent=number))


@add_check("squash-R2", draws=squash_calls(lengths=PLAIN), gradient=True, fraction=0.3)
def squash_gradient_matches_finite_differences(context: CheckContext, call: Call) -> None:
    """In float64, the gradient must match central differences of the backend's forward."""
    x = call.arrays["x"]
    nonzero = np.where(~x.any(axis=-1, keepdims=True), np.ones_like(x), x)  # not smooth at 0
    assert_gradients_follow(context, call.change(x=nonzero), step=SHORT_STEP)


@add_comparison("squash-R1", draws=squash_calls())
def squash_matches_the_reference() -> None:
    """The result of forward must match the reference."""


@add_comparison("squash-R2", draws=squash_calls(), parts=("d_x",))
def squash_gradient_matches_the_reference() -> None:
    """For a random cotangent d_out, the gradient of x must match the reference."""


@add_check("squash-R6", draws=squash_calls(kind="unit"), gradient=True)
def kind_unit_gives_norm_one_or_zero(context: CheckContext, call: Call) -> None:
    """With kind="unit", a vector along a coordinate must become a unit vector; 0 must stay 0."""
    context.run(call)
    assert_zero_capsules(context, call)
    axes = axis_capsules(context, call.arrays["x"])
    for length in (0.25, 1, 8):
        got = context.run(call.change(x=axes * call.dtype.type(length)))
        context.assert_exact(got, "out", axes)
        context.assert_exact(got, "d_x", 0, mask=axes != 0)


@add_check("squash-R6", draws=squash_calls(kind="unit"), gradient=True)
def kind_unit_gradient_is_finite_at_the_smallest_norm(context: CheckContext, call: Call) -> None:
    """With kind="unit", the gradient at the smallest positive norm must be finite."""
    context.run(call)
    axes = axis_capsules(context, call.arrays["x"])
    shortest = axes * np.finfo(call.dtype).smallest_subnormal
    got = context.run(call.change(x=shortest, cotangent=np.tanh(np.asarray(call.cotangent))))
    context.assert_true(np.isfinite(got["d_x"]).all(), "a gradient is not finite", got, "d_x")
    context.assert_exact(got, "d_x", 0, mask=axes != 0)


@add_comparison("squash-R6", draws=squash_calls(kind="unit"))
def kind_unit_matches_the_reference() -> None:
    """With kind="unit", the result of forward must match the reference."""


@add_comparison("squash-R6", draws=squash_calls(kind="unit"), parts=("d_x",))
def kind_unit_gradient_matches_the_reference() -> None:
    """With kind="unit", the gradient of x must match the reference."""


@add_check("squash-R7", "backend-R12", draws=squash_calls(kind="none"), gradient=True)
def kind_none_returns_a_copy(context: CheckContext, call: Call) -> None:
    """With kind="none", the result must be a copy of x and the gradient must be d_out."""
    got = context.run(call)
    context.assert_exact(got, "out", call.arrays["x"])
    context.assert_exact(got, "d_x", np.asarray(call.cotangent))


def assert_zero_capsules(context: CheckContext, call: Call) -> None:
    """Set some vectors to zero; require zero results and zero gradients for these vectors."""
    x = call.arrays["x"]
    zero = context.rng.random((*x.shape[:-1], 1)) < 0.5
    zero.reshape(-1)[0] = True
    got = context.run(call.change(x=np.where(zero, 0, x)))
    context.assert_exact(got, "out", 0, mask=zero)
    context.assert_exact(got, "d_x", 0, mask=zero)


def axis_capsules(context: CheckContext, x: AnyArray) -> AnyArray:
    """Return random unit vectors in the shape of x; each has one non-zero entry, 1 or -1."""
    chosen = context.rng.integers(x.shape[-1], size=(*x.shape[:-1], 1))
    signs = context.rng.choice([-1, 1], chosen.shape)
    return (signs * (np.arange(x.shape[-1]) == chosen)).astype(x.dtype)
