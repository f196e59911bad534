"""What is asked of squash. Spec: specs/squash.md."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from mindref.conformance.draws.slopes import follow_from_forward
from mindref.conformance.draws.whole_numbers import whole
from mindref.conformance.gradient import SHORT_STEP
from mindref.conformance.judging.call import Anything, Call
from mindref.conformance.judging.check import check
from mindref.conformance.judging.judge import Got, Judge
from mindref.conformance.strategies import generators, normal, sizes
from mindref.conformance.tolerances import rounding

LENGTHS = (1.0, 0.1, 10.0, 1e-3, 100.0)
PLAIN = (1.0, 0.5, 2.0)


@st.composite
def calls(draw: st.DrawFn, *, kind: str = "squash", lengths: tuple[float, ...] = LENGTHS) -> Call:
    """Draw capsules of about one length with one to three axes, some of them zero, a cotangent."""
    shape, rng = draw(st.integers(1, 3).flatmap(sizes)), draw(generators())
    x = np.array(normal(rng, *shape))
    x *= draw(st.sampled_from(lengths)) / np.sqrt(np.sum(x * x, axis=-1, keepdims=True))
    x *= rng.uniform(0.5, 1.5, (*shape[:-1], 1))
    if len(shape) > 1 and draw(st.booleans()):
        x[-1] = 0
    return Call("squash", {"x": x}, {"kind": kind}, normal(rng, *shape))


@check("squash-R3", draws=calls(), stem="squash", gradient=True)
def zero_stays_zero_and_has_no_gradient(judge: Judge, call: Call) -> None:
    """A capsule of zeros is zero, and so is its gradient: no NaN from dividing by its length."""
    judge.ask(call)
    hold_zero(judge, call)


@check("squash-R1", "squash-R2", draws=calls(), stem="squash", gradient=True)
def a_capsule_of_length_one_along_an_axis_is_halved(judge: Judge, call: Call) -> None:
    """There every slope is one half, so result and gradient are half of x and of d_out, exactly."""
    judge.ask(call)
    call = whole(call).change(x=along_axes(judge, call.arrays["x"]))
    got = judge.ask(call)
    judge.exactly(got, "out", call.arrays["x"] / 2)
    judge.exactly(got, "d_x", np.asarray(call.cotangent) / 2)


@check("squash-R4", draws=calls(), stem="squash", gradient=True)
def the_largest_floats_do_not_overflow(judge: Judge, call: Call) -> None:
    """A capsule of the largest float along an axis becomes exactly that axis; slopes are finite."""
    judge.ask(call)
    axes = along_axes(judge, call.arrays["x"])
    got = judge.ask(call.change(x=axes * np.finfo(call.dtype).max))
    judge.exactly(got, "out", axes)
    judge.holds(np.isfinite(got["d_x"]).all(), "a gradient is not finite", got, "d_x")


@check("squash-R4", draws=calls(), stem="squash", gradient=True)
def capsules_longer_than_the_largest_float_keep_their_direction(judge: Judge, call: Call) -> None:
    """With every component the largest float, the length itself is none; the result is finite."""
    judge.ask(call)
    signs = np.where(call.arrays["x"] < 0, -1, 1).astype(call.dtype)
    got = judge.ask(call.change(x=signs * np.finfo(call.dtype).max))
    wanted = signs / np.sqrt(signs.shape[-1])
    near = np.abs(got["out"] - wanted) <= rounding(call.dtype) * np.abs(wanted)
    judge.holds(near.all(), "a long capsule is not of length one in its direction", got, "out")
    judge.holds(np.isfinite(got["d_x"]).all(), "a gradient is not finite", got, "d_x")


@check("squash-R4", draws=calls(lengths=(1.0, 1e3, 1e6, 1e9)), stem="squash")
def no_capsule_is_longer_than_one(judge: Judge, call: Call) -> None:
    """The length of the result is at most one, but for rounding."""
    out = judge.ask(call.forward_only())["out"].astype(np.float64)
    length = np.sqrt(np.sum(out * out, axis=-1))
    judge.holds((length <= 1 + rounding(call.dtype)).all(), f"a capsule of {length.max():.9g}")


@check("squash-R5", draws=calls(lengths=(0.5, 1.0)), stem="squash", gradient=True)
def a_capsule_half_as_short_is_a_quarter_as_long(judge: Judge, call: Call) -> None:
    """Short capsules go with the square of their length, down to where it is no normal float."""
    least = np.finfo(call.dtype).minexp // 2 + 4
    for exponent in (-40, least):
        scale = np.ldexp(call.dtype.type(1), exponent)
        first, second = (judge.ask(call.change(x=call.arrays["x"] * s)) for s in (scale, scale / 2))
        judge.same(first, second, through={"out": lambda x: 4 * x, "d_x": lambda x: 2 * x})


@check("squash-R5", draws=calls(), stem="squash")
def a_short_capsule_along_an_axis_is_as_long_as_its_square(judge: Judge, call: Call) -> None:
    """Where n^2 is a rounding of one, and down to where it is hardly a normal float, h is n^2."""
    call = call.forward_only()
    judge.ask(call)
    axes, least = along_axes(judge, call.arrays["x"]), np.finfo(call.dtype).minexp // 2 + 1
    for exponent in (-30, -40, least):
        got = judge.ask(call.change(x=np.ldexp(axes, exponent)))
        wanted = np.ldexp(axes, 2 * exponent)
        near = np.abs(got["out"] - wanted) <= rounding(call.dtype) * np.abs(wanted)
        judge.holds(near.all(), f"a capsule of length 2^{exponent} is not squared", got, "out")


@check("squash-R1", "squash-R2", draws=calls(), stem="squash", gradient=True)
def components_in_another_order_or_sign_are_the_same_capsule(judge: Judge, call: Call) -> None:
    """Permuting components and turning their signs does the same to result and gradient."""
    width = call.arrays["x"].shape[-1]
    order = judge.rng.permutation(width)
    signs = judge.rng.choice([-1, 1], width).astype(call.dtype)

    def turned(x: Anything) -> Anything:
        return signs * x[..., order]

    second = call.change(x=turned(call.arrays["x"]), cotangent=turned(np.asarray(call.cotangent)))
    first, other = judge.ask(call), judge.ask(second)
    upright = Got(second, {name: signs * x for name, x in other.items()})
    back = np.argsort(order)
    through = {name: lambda x: x[..., back] for name in ("out", "d_x")}
    judge.same(first, upright, through=through)


@check("squash-R1", "squash-R2", draws=calls(), stem="squash", gradient=True)
def capsules_do_not_see_each_other(judge: Judge, call: Call) -> None:
    """Each capsule, asked alone, is what it is among the others."""
    x, g = (a.reshape(-1, a.shape[-1]) for a in (call.arrays["x"], np.asarray(call.cotangent)))
    k = int(judge.rng.integers(len(x)))

    def one(a: Anything) -> Anything:
        return a.reshape(-1, a.shape[-1])[k]

    alone = judge.ask(call.change(x=x[k], cotangent=g[k]))
    judge.same(alone, judge.ask(call), through={"out": one, "d_x": one})


@check("squash-R8", draws=calls(), stem="squash")
def another_kind_is_refused(judge: Judge, call: Call) -> None:
    """A word that names no kind is refused."""
    judge.ask(call)
    for kind in ("tanh", "", "SQUASH"):
        judge.refuses(call.change(kind=kind))


@check("squash-R9", draws=calls(), stem="squash")
def a_number_without_an_axis_is_refused(judge: Judge, call: Call) -> None:
    """A component alone, as an array without an axis, is no capsule."""
    judge.ask(call)
    number = np.array(call.arrays["x"].reshape(-1)[0])
    judge.refuses(call.change(x=number, cotangent=number))


@check("squash-R2", draws=calls(lengths=PLAIN), stem="squash", gradient=True, share=0.3)
def the_gradient_follows_from_forward(judge: Judge, call: Call) -> None:
    """The gradient is the slope of the backend's own forward (central differences, float64)."""
    follow_from_forward(judge, without_zeros(call), step=SHORT_STEP)


@check("squash-R1", draws=calls(), stem="squash", agreement=True)
def capsules_are_those_of_the_reference(judge: Judge, call: Call) -> None:
    """Forward agrees with the reference."""
    judge.agree(call.forward_only())


@check("squash-R2", draws=calls(), stem="squash", gradient=True, agreement=True)
def the_gradient_is_that_of_the_reference(judge: Judge, call: Call) -> None:
    """Backward agrees with the reference, for a random cotangent."""
    judge.agree(call, "d_x")


@check("squash-R6", draws=calls(kind="unit"), stem="squash", gradient=True)
def a_unit_capsule_has_length_one_or_zero(judge: Judge, call: Call) -> None:
    """With kind "unit" an axis stays that axis, and zero stays zero without a gradient."""
    judge.ask(call)
    hold_zero(judge, call)
    axes = along_axes(judge, call.arrays["x"])
    for length in (0.25, 1, 8):
        got = judge.ask(call.change(x=axes * call.dtype.type(length)))
        judge.exactly(got, "out", axes)
        judge.exactly(got, "d_x", 0, where=axes != 0)


@check("squash-R6", draws=calls(kind="unit"), stem="squash", gradient=True)
def the_slope_of_the_shortest_unit_capsule_is_finite(judge: Judge, call: Call) -> None:
    """Where one over the length is beyond the largest float, the slope is not infinite."""
    judge.ask(call)
    axes = along_axes(judge, call.arrays["x"])
    shortest = axes * np.finfo(call.dtype).smallest_subnormal
    got = judge.ask(call.change(x=shortest, cotangent=np.tanh(np.asarray(call.cotangent))))
    judge.holds(np.isfinite(got["d_x"]).all(), "a gradient is not finite", got, "d_x")
    judge.exactly(got, "d_x", 0, where=axes != 0)


@check("squash-R6", draws=calls(kind="unit"), stem="squash", agreement=True)
def unit_capsules_are_those_of_the_reference(judge: Judge, call: Call) -> None:
    """With kind "unit" forward agrees with the reference."""
    judge.agree(call.forward_only())


@check("squash-R6", draws=calls(kind="unit"), stem="squash", gradient=True, agreement=True)
def the_gradient_of_unit_capsules_is_that_of_the_reference(judge: Judge, call: Call) -> None:
    """With kind "unit" backward agrees with the reference."""
    judge.agree(call, "d_x")


@check("squash-R7", "backend-R12", draws=calls(kind="none"), stem="squash", gradient=True)
def kind_none_gives_back_a_copy(judge: Judge, call: Call) -> None:
    """With kind "none" the result is x to the bit, in memory of its own; the gradient is d_out."""
    got = judge.ask(call)
    judge.exactly(got, "out", call.arrays["x"])
    judge.exactly(got, "d_x", np.asarray(call.cotangent))


def hold_zero(judge: Judge, call: Call) -> None:
    """Ask with some capsules zero, one at least, and hold them to zeros."""
    x = call.arrays["x"]
    zero = judge.rng.random((*x.shape[:-1], 1)) < 0.5
    zero.reshape(-1)[0] = True
    got = judge.ask(call.change(x=np.where(zero, 0, x)))
    judge.exactly(got, "out", 0, where=zero)
    judge.exactly(got, "d_x", 0, where=zero)


def along_axes(judge: Judge, x: Anything) -> Anything:
    """Return capsules of length one in the shape of x, each along a random axis, either way."""
    chosen = judge.rng.integers(x.shape[-1], size=(*x.shape[:-1], 1))
    signs = judge.rng.choice([-1, 1], chosen.shape)
    return (signs * (np.arange(x.shape[-1]) == chosen)).astype(x.dtype)


def without_zeros(call: Call) -> Call:
    """Return the call with its capsules of zero moved away from there, where squash bends."""
    x = call.arrays["x"]
    zero = ~x.any(axis=-1, keepdims=True)
    return call.change(x=np.where(zero, np.ones_like(x), x))
