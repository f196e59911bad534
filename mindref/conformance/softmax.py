"""What is asked of softmax. Spec: specs/softmax.md."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from mindref.conformance.draws.slopes import follow_from_forward
from mindref.conformance.judging.call import Anything, Call
from mindref.conformance.judging.check import check
from mindref.conformance.judging.judge import Judge
from mindref.conformance.strategies import generators, normal, sizes
from mindref.shapes import Bools

SCALES = (1e-3, 0.1, 1.0, 10.0)
FAR = 1e4
"""exp(-FAR) is zero in every type."""


@st.composite
def calls(draw: st.DrawFn, *, scales: tuple[float, ...] = SCALES) -> Call:
    """Draw logits of three axes, a mask of the same or a broadcast shape, an axis, a cotangent."""
    shape, rng = draw(sizes(3)), draw(generators())
    axis = draw(st.sampled_from((0, 1, 2, -1)))
    mask = rng.random(shape) < draw(st.sampled_from((0.3, 0.7, 1.0)))
    if draw(st.booleans()):
        mask = mask[:, :1]
    arrays = {"logits": normal(rng, *shape, scale=draw(st.sampled_from(scales))), "mask": mask}
    return Call("softmax", arrays, {"axis": axis}, normal(rng, *shape))


@check("softmax-R2", draws=calls(), stem="softmax", gradient=True)
def what_stands_in_a_masked_place_does_not_matter(judge: Judge, call: Call) -> None:
    """Rubbish in masked places, NaN and infinity included, changes no byte; weight zero there."""
    logits, mask = call.arrays["logits"], whole_mask(call)
    rubbish = judge.rng.choice([np.nan, np.inf, -np.inf, 1e30], size=logits.shape)
    dirty = np.where(mask, logits, rubbish.astype(logits.dtype))
    clean = judge.ask(call)
    judge.equal(judge.ask(call.change(logits=dirty)), clean)
    judge.exactly(clean, "out", 0, where=~mask)


@check("softmax-R2", draws=calls(), stem="softmax", gradient=True)
def a_slice_is_the_same_without_its_masked_places(judge: Judge, call: Call) -> None:
    """A slice with its masked places cut out has the weights and the gradient that it had."""
    axis = call.numbers["axis"] % 3
    left = np.argwhere(np.any(whole_mask(call), axis=axis, keepdims=True))
    judge.ask(call)
    if not len(left):
        return
    slices = [[int(i)] for i in judge.rng.choice(left)]
    slices[axis] = list(range(whole_mask(call).shape[axis]))
    kept = np.flatnonzero(whole_mask(call)[np.ix_(*slices)])
    whole = taken(call, slices)
    slices[axis] = kept.tolist()
    through = {name: lambda x: np.take(x, kept, axis=axis) for name in ("out", "d_logits")}
    judge.same(judge.ask(taken(call, slices)), judge.ask(whole), through=through)


@check("softmax-R4", draws=calls(), stem="softmax", gradient=True)
def a_slice_without_a_place_left_is_zero(judge: Judge, call: Call) -> None:
    """Where the mask leaves nothing of a slice, weights and gradient are zero, not NaN."""
    judge.ask(call)
    lost = chosen_slices(judge, call)
    got = judge.ask(call.change(mask=whole_mask(call) & ~lost))
    judge.exactly(got, "out", 0, where=lost)
    judge.exactly(got, "d_logits", 0, where=lost)


@check("softmax-R1", draws=calls(), stem="softmax", gradient=True)
def a_single_place_has_weight_one(judge: Judge, call: Call) -> None:
    """Where one place of each slice is left, its weight is one and no gradient passes it."""
    judge.ask(call)
    winner = one_in_each_slice(judge, call)
    got = judge.ask(call.change(mask=winner))
    judge.exactly(got, "out", winner)
    judge.exactly(got, "d_logits", 0)


@check("softmax-R1", draws=calls(), stem="softmax")
def weights_of_a_slice_sum_to_one(judge: Judge, call: Call) -> None:
    """The weights of a slice that has a place left sum to one, within their allowed errors."""
    got, axis = judge.ask(call.forward_only()), call.numbers["axis"]
    allowed = judge.expected(call.forward_only())["out"].allowed.sum(axis=axis)
    apart = np.abs(got["out"].astype(np.float64).sum(axis=axis) - whole_mask(call).any(axis=axis))
    judge.holds((apart <= allowed).all(), f"a sum is off by {apart.max():.2g}", got, "out")


@check("softmax-R3", draws=calls(), stem="softmax", gradient=True)
def the_largest_floats_do_not_overflow(judge: Judge, call: Call) -> None:
    """With the largest float in one place and its negative elsewhere, weights are one and zero."""
    judge.ask(call)
    winner, largest = one_in_each_slice(judge, call), np.finfo(call.dtype).max
    mask = np.ones(winner.shape, bool)
    got = judge.ask(call.change(logits=np.where(winner, largest, -largest), mask=mask))
    judge.exactly(got, "out", winner)
    judge.exactly(got, "d_logits", 0)


@check("softmax-R3", "softmax-R6", draws=calls(), stem="softmax")
def slices_far_apart_do_not_see_each_other(judge: Judge, call: Call) -> None:
    """Each slice is raised by a large number of its own; its far largest place takes all."""
    judge.ask(call)
    winner = one_in_each_slice(judge, call)
    level = FAR * integers(judge, call)
    logits = (level - FAR * ~winner).astype(call.dtype)
    mask = np.ones(winner.shape, bool)
    got = judge.ask(call.change(logits=logits, mask=mask).forward_only())
    judge.exactly(got, "out", winner)


@check("softmax-R3", draws=calls(scales=(1.0,)), stem="softmax", gradient=True)
def one_number_added_to_a_slice_changes_nothing(judge: Judge, call: Call) -> None:
    """An integer added to all logits of a slice leaves weights and gradient."""
    eighths = np.rint(8 * call.arrays["logits"]) / 8  # so that adding does not round
    first = judge.ask(call.change(logits=eighths))
    judge.same(first, judge.ask(call.change(logits=eighths + integers(judge, call))))


@check("softmax-R6", draws=calls(), stem="softmax", gradient=True)
def axes_in_another_order_are_the_same_slices(judge: Judge, call: Call) -> None:
    """With the axes permuted, and `axis` with them, the answer is permuted."""
    order = judge.rng.permutation(3)
    back, axis = np.argsort(order), int(np.argsort(order)[call.numbers["axis"]])
    turned = call.change(
        logits=np.transpose(call.arrays["logits"], order),
        mask=np.transpose(whole_mask(call), order),
        cotangent=np.transpose(np.asarray(call.cotangent), order),
        axis=axis,
    )
    through = {name: lambda x: np.transpose(x, back) for name in ("out", "d_logits")}
    judge.same(judge.ask(call), judge.ask(turned), through=through)


@check("softmax-R6", draws=calls(), stem="softmax", gradient=True)
def an_axis_counted_from_the_end_is_the_same(judge: Judge, call: Call) -> None:
    """Axis -1 of three is axis 2, and so on, to the byte."""
    axis = call.numbers["axis"] % 3
    judge.equal(judge.ask(call.change(axis=axis)), judge.ask(call.change(axis=axis - 3)))


@check("softmax-R6", draws=calls(), stem="softmax", gradient=True)
def a_slice_is_the_same_alone(judge: Judge, call: Call) -> None:
    """One index along another axis, asked alone, gives that part of the answer."""
    batch = (call.numbers["axis"] + 1) % 3
    kept = [int(judge.rng.integers(call.arrays["logits"].shape[batch]))]

    def part(x: Any) -> Any:
        return np.take(x, kept, axis=batch)

    alone = judge.ask(
        call.change(
            logits=part(call.arrays["logits"]),
            mask=part(whole_mask(call)),
            cotangent=part(call.cotangent),
        )
    )
    judge.same(alone, judge.ask(call), through={"out": part, "d_logits": part})


@check("softmax-R5", draws=calls(), stem="softmax", gradient=True)
def no_gradient_reaches_a_masked_place(judge: Judge, call: Call) -> None:
    """The gradient is exactly zero in masked places."""
    judge.exactly(judge.ask(call), "d_logits", 0, where=~whole_mask(call))


@check("softmax-R5", draws=calls(), stem="softmax", gradient=True)
def what_comes_back_to_a_masked_place_does_not_matter(judge: Judge, call: Call) -> None:
    """NaN or infinity in the cotangent of masked places changes no byte of the gradient."""
    cotangent = np.asarray(call.cotangent)
    rubbish = judge.rng.choice([np.nan, np.inf, -np.inf], size=cotangent.shape)
    dirty = np.where(whole_mask(call), cotangent, rubbish.astype(cotangent.dtype))
    judge.equal(judge.ask(call.change(cotangent=dirty)), judge.ask(call), "d_logits")


@check("softmax-R5", draws=calls(), stem="softmax", gradient=True)
def a_cotangent_raised_evenly_gives_the_same_gradient(judge: Judge, call: Call) -> None:
    """An integer added to the cotangent of a slice leaves the gradient."""
    eighths = np.rint(8 * np.asarray(call.cotangent)) / 8
    first = judge.ask(call.change(cotangent=eighths))
    raised = eighths + integers(judge, call)
    judge.same(first, judge.ask(call.change(cotangent=raised)), "d_logits")


@check("softmax-R7", draws=calls(), stem="softmax")
def an_axis_that_the_logits_lack_is_refused(judge: Judge, call: Call) -> None:
    """Three axes have neither an axis 3 nor an axis -4."""
    judge.ask(call)
    for axis in (3, -4):
        judge.refuses(call.change(axis=axis))


@check("softmax-R7", draws=calls(), stem="softmax")
def an_axis_that_is_no_integer_is_refused(judge: Judge, call: Call) -> None:
    """Half an axis, a float that equals one, and none at all name no axis."""
    judge.ask(call)
    for axis in (0.5, 1.0, None):
        judge.refuses(call.change(axis=axis))


@check("softmax-R8", draws=calls(), stem="softmax")
def a_mask_that_does_not_fit_is_refused(judge: Judge, call: Call) -> None:
    """A mask that is too long in an axis, or has an axis more than the logits, is refused."""
    judge.ask(call)
    mask = whole_mask(call)
    for axis in range(3):
        judge.refuses(call.change(mask=np.repeat(mask, 2, axis=axis)))
    judge.refuses(call.change(mask=np.stack([mask, mask])))


@check("softmax-R5", draws=calls(), stem="softmax", gradient=True, share=0.3)
def the_gradient_follows_from_forward(judge: Judge, call: Call) -> None:
    """The gradient is the slope of the backend's own forward (central differences, float64)."""
    follow_from_forward(judge, call)


@check("softmax-R1", "softmax-R6", draws=calls(), stem="softmax", agreement=True)
def weights_are_those_of_the_reference(judge: Judge, call: Call) -> None:
    """Forward agrees with the reference."""
    judge.agree(call.forward_only())


@check("softmax-R5", "softmax-R6", draws=calls(), stem="softmax", gradient=True, agreement=True)
def the_gradient_is_that_of_the_reference(judge: Judge, call: Call) -> None:
    """Backward agrees with the reference, for a random cotangent."""
    judge.agree(call, "d_logits")


def whole_mask(call: Call) -> Bools:
    """Return the mask in the shape of the logits."""
    return np.broadcast_to(call.arrays["mask"], call.arrays["logits"].shape)


def taken(call: Call, places: Any) -> Call:
    """Return the call with these places of each axis only."""
    grid = np.ix_(*places)
    return call.change(
        logits=call.arrays["logits"][grid],
        mask=whole_mask(call)[grid],
        cotangent=np.asarray(call.cotangent)[grid],
    )


def chosen_slices(judge: Judge, call: Call) -> Bools:
    """Return a mask that is true for some whole slices, at least for one."""
    heads = np.take(whole_mask(call), [0], axis=call.numbers["axis"])
    chosen = judge.rng.random(heads.shape) < 0.5
    chosen.reshape(-1)[0] = True
    return np.broadcast_to(chosen, call.arrays["logits"].shape)


def one_in_each_slice(judge: Judge, call: Call) -> Bools:
    """Return a mask that is true for one place of each slice."""
    drawn = judge.rng.random(call.arrays["logits"].shape)
    return drawn == drawn.max(axis=call.numbers["axis"], keepdims=True)


def integers(judge: Judge, call: Call) -> Anything:
    """Return an integer from -8 to 8 for each slice, as an array that broadcasts to the logits."""
    drawn = judge.rng.integers(-8, 9, call.arrays["logits"].shape)
    return np.take(drawn, [0], axis=call.numbers["axis"]).astype(call.dtype)
