"""Checks of softmax. A slice is the logits that one softmax normalises. Spec: specs/softmax.md."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from mindref.conformance.runner.call import AnyArray, Call
from mindref.conformance.runner.check import add_check, add_comparison
from mindref.conformance.runner.context import CheckContext
from mindref.conformance.runner.gradient_check import assert_gradients_follow
from mindref.conformance.strategies import Sizes, distinct_sizes, generators, normal, share_strategy
from mindref.shapes import Bools

SCALES = (1e-3, 0.1, 1.0, 10.0)
FAR = 1e4
"""exp(-FAR) is zero in every dtype."""


@share_strategy
@st.composite
def softmax_calls(
    draw: st.DrawFn,
    *,
    scales: tuple[float, ...] = SCALES,
    axes: tuple[int, ...] = (0, 1, 2, -1),
    sizes: Sizes = None,
) -> Call:
    """Draw 3-d logits, a mask (sometimes of size 1 in axis 1), an axis and a cotangent (d_out)."""
    shape, rng = sizes or draw(distinct_sizes(3)), draw(generators())
    axis = draw(st.sampled_from(axes))
    mask = rng.random(shape) < draw(st.sampled_from((0.3, 0.7, 1.0)))
    if draw(st.booleans()):
        mask = mask[:, :1]
    arrays = {"logits": normal(rng, *shape, scale=draw(st.sampled_from(scales))), "mask": mask}
    return Call("softmax", arrays, {"axis": axis}, normal(rng, *shape))


@add_check("softmax-R2", draws=softmax_calls(), gradient=True)
def masked_logits_have_no_influence(context: CheckContext, call: Call) -> None:
    """A masked logit, even NaN, must not change any byte of the answer and must get weight 0."""
    logits, mask = call.arrays["logits"], full_mask(call)
    garbage = context.rng.choice([np.nan, np.inf, -np.inf, 1e30], size=logits.shape)
    dirty = np.where(mask, logits, garbage.astype(logits.dtype))
    clean = context.run(call)
    context.assert_equal(context.run(call.change(logits=dirty)), clean)
    context.assert_exact(clean, "out", 0, mask=~mask)


@add_check("softmax-R2", draws=softmax_calls(), gradient=True)
def removing_masked_positions_changes_nothing(context: CheckContext, call: Call) -> None:
    """Removing masked positions must not change weights or gradients of unmasked positions."""
    axis = call.numbers["axis"] % 3
    left = np.argwhere(np.any(full_mask(call), axis=axis, keepdims=True))
    context.run(call)
    if not len(left):
        return
    slices = [[int(i)] for i in context.rng.choice(left)]
    slices[axis] = list(range(full_mask(call).shape[axis]))
    unmasked = np.flatnonzero(full_mask(call)[np.ix_(*slices)])
    full_slice = select_positions(call, slices)
    slices[axis] = unmasked.tolist()
    through = {name: lambda x: np.take(x, unmasked, axis=axis) for name in ("out", "d_logits")}
    selected = context.run(select_positions(call, slices))
    context.assert_same(selected, context.run(full_slice), through=through)


@add_check("softmax-R4", draws=softmax_calls(), gradient=True)
def fully_masked_slice_is_zero(context: CheckContext, call: Call) -> None:
    """If a slice is fully masked, its weights and its gradient must be 0, not NaN."""
    context.run(call)
    masked_slices = random_slices(context, call)
    got = context.run(call.change(mask=full_mask(call) & ~masked_slices))
    context.assert_exact(got, "out", 0, mask=masked_slices)
    context.assert_exact(got, "d_logits", 0, mask=masked_slices)


@add_check("softmax-R1", draws=softmax_calls(), gradient=True)
def single_unmasked_position_has_weight_one(context: CheckContext, call: Call) -> None:
    """If a slice has exactly one unmasked position, its weight must be 1 and its gradient 0."""
    context.run(call)
    winner = one_in_each_slice(context, call)
    got = context.run(call.change(mask=winner))
    context.assert_exact(got, "out", winner)
    context.assert_exact(got, "d_logits", 0)


@add_check("softmax-R1", draws=softmax_calls())
def weights_of_each_slice_sum_to_one(context: CheckContext, call: Call) -> None:
    """The weights of a slice must sum to 1, or to 0 if the slice is fully masked."""
    got, axis = context.run(call), call.numbers["axis"]
    allowed = context.expected(call)["out"].allowed.sum(axis=axis)
    apart = np.abs(got["out"].astype(np.float64).sum(axis=axis) - full_mask(call).any(axis=axis))
    message = f"the sum of the weights of a slice is off by {apart.max():.2g}"
    context.assert_true((apart <= allowed).all(), message, got, "out")


@add_check("softmax-R3", draws=softmax_calls(), gradient=True)
def softmax_does_not_overflow_at_the_largest_float(context: CheckContext, call: Call) -> None:
    """Logits of plus and minus the largest float must give weights of exactly 1 and 0."""
    context.run(call)
    winner, largest = one_in_each_slice(context, call), np.finfo(call.dtype).max
    mask = np.ones(winner.shape, bool)
    got = context.run(call.change(logits=np.where(winner, largest, -largest), mask=mask))
    context.assert_exact(got, "out", winner)
    context.assert_exact(got, "d_logits", 0)


@add_check("softmax-R3, R6", draws=softmax_calls())
def slices_are_shifted_independently(context: CheckContext, call: Call) -> None:
    """Adding a different large number to the logits of each slice must not change any weight."""
    context.run(call)
    winner = one_in_each_slice(context, call)
    level = FAR * slice_integers(context, call)
    logits = (level - FAR * ~winner).astype(call.dtype)
    mask = np.ones(winner.shape, bool)
    got = context.run(call.change(logits=logits, mask=mask))
    context.assert_exact(got, "out", winner)


@add_check("softmax-R3", draws=softmax_calls(scales=(1.0,)), gradient=True)
def adding_a_constant_to_a_slice_changes_nothing(context: CheckContext, call: Call) -> None:
    """Adding the same integer to all logits of a slice must not change weights or gradients."""
    eighths = np.rint(8 * call.arrays["logits"]) / 8  # multiples of 1/8, so that sums are exact
    first = context.run(call.change(logits=eighths))
    raised = eighths + slice_integers(context, call)
    context.assert_same(first, context.run(call.change(logits=raised)))


@add_check("softmax-R6", draws=softmax_calls(), gradient=True)
def permuting_axes_permutes_the_result(context: CheckContext, call: Call) -> None:
    """Transposing all arrays, with `axis` adjusted, must transpose the results in the same way."""
    order = context.rng.permutation(3)
    back, axis = np.argsort(order), int(np.argsort(order)[call.numbers["axis"]])
    transposed = call.change(
        logits=np.transpose(call.arrays["logits"], order),
        mask=np.transpose(full_mask(call), order),
        cotangent=np.transpose(np.asarray(call.cotangent), order),
        axis=axis,
    )
    through = {name: lambda x: np.transpose(x, back) for name in ("out", "d_logits")}
    context.assert_same(context.run(call), context.run(transposed), through=through)


@add_check("softmax-R6", draws=softmax_calls(), gradient=True)
def negative_axis_equals_positive_axis(context: CheckContext, call: Call) -> None:
    """For logits with three axes, `axis` - 3 must give the same bytes as `axis`."""
    axis = call.numbers["axis"] % 3
    positive, negative = (call.change(axis=number) for number in (axis, axis - 3))
    context.assert_equal(context.run(positive), context.run(negative))


@add_check("softmax-R6", draws=softmax_calls(), gradient=True)
def slice_does_not_depend_on_the_batch(context: CheckContext, call: Call) -> None:
    """If only some slices are computed, their weights and gradients must stay the same."""
    batch = (call.numbers["axis"] + 1) % 3
    index = [int(context.rng.integers(call.arrays["logits"].shape[batch]))]

    def part(x: Any) -> Any:
        return np.take(x, index, axis=batch)

    single_slice = context.run(
        call.change(
            logits=part(call.arrays["logits"]),
            mask=part(full_mask(call)),
            cotangent=part(call.cotangent),
        )
    )
    context.assert_same(single_slice, context.run(call), through={"out": part, "d_logits": part})


@add_check("softmax-R5", draws=softmax_calls(), gradient=True)
def masked_positions_have_zero_gradient(context: CheckContext, call: Call) -> None:
    """The gradient at a masked position must be exactly 0."""
    context.assert_exact(context.run(call), "d_logits", 0, mask=~full_mask(call))


@add_check("softmax-R5", draws=softmax_calls(), gradient=True)
def cotangent_at_masked_positions_has_no_influence(context: CheckContext, call: Call) -> None:
    """NaN or infinity in d_out at masked positions must not change any byte of the gradient."""
    cotangent = np.asarray(call.cotangent)
    garbage = context.rng.choice([np.nan, np.inf, -np.inf], size=cotangent.shape)
    dirty = np.where(full_mask(call), cotangent, garbage.astype(cotangent.dtype))
    context.assert_equal(context.run(call.change(cotangent=dirty)), context.run(call), "d_logits")


@add_check("softmax-R5", draws=softmax_calls(), gradient=True)
def adding_a_constant_to_the_cotangent_changes_nothing(context: CheckContext, call: Call) -> None:
    """Adding the same integer to all of d_out in a slice must not change the gradient."""
    eighths = np.rint(8 * np.asarray(call.cotangent)) / 8
    first = context.run(call.change(cotangent=eighths))
    raised = eighths + slice_integers(context, call)
    context.assert_same(first, context.run(call.change(cotangent=raised)), "d_logits")


@add_check("softmax-R7", draws=softmax_calls())
def axis_out_of_range_raises(context: CheckContext, call: Call) -> None:
    """For logits with three axes, `axis` = 3 and `axis` = -4 must raise an error."""
    context.assert_each_raises(call, axis=(3, -4))


@add_check("softmax-R7", draws=softmax_calls())
def non_integer_axis_raises(context: CheckContext, call: Call) -> None:
    """An `axis` of 0.5, 1.0 or None must raise an error."""
    context.assert_each_raises(call, axis=(0.5, 1.0, None))


@add_check("softmax-R8", draws=softmax_calls())
def mask_of_wrong_shape_raises(context: CheckContext, call: Call) -> None:
    """A mask that does not broadcast to the shape of the logits must raise an error."""
    context.run(call)
    mask = full_mask(call)
    for axis in range(3):
        context.assert_raises(call.change(mask=np.repeat(mask, 2, axis=axis)))
    context.assert_raises(call.change(mask=np.stack([mask, mask])))


@add_check("softmax-R5", draws=softmax_calls(), gradient=True, fraction=0.3)
def softmax_gradient_matches_finite_differences(context: CheckContext, call: Call) -> None:
    """In float64, the gradient must match central differences of the backend's forward."""
    assert_gradients_follow(context, call)


@add_comparison("softmax-R1, R6", draws=softmax_calls())
def weights_match_the_reference() -> None:
    """The weights that forward returns must match the reference."""


@add_comparison("softmax-R5, R6", draws=softmax_calls(), parts=("d_logits",))
def softmax_gradient_matches_the_reference() -> None:
    """For a random cotangent d_out, the gradient of the logits must match the reference."""


def full_mask(call: Call) -> Bools:
    """Return the mask of `call`, broadcast to the shape of the logits."""
    return np.broadcast_to(call.arrays["mask"], call.arrays["logits"].shape)


def select_positions(call: Call, places: Any) -> Call:
    """Return `call` with only the positions `places[n]` along each axis n."""
    grid = np.ix_(*places)
    return call.change(
        logits=call.arrays["logits"][grid],
        mask=full_mask(call)[grid],
        cotangent=np.asarray(call.cotangent)[grid],
    )


def random_slices(context: CheckContext, call: Call) -> Bools:
    """Return a mask of the logits that is true in randomly chosen slices, at least one."""
    first_entries = np.take(full_mask(call), [0], axis=call.numbers["axis"])
    chosen = context.rng.random(first_entries.shape) < 0.5
    chosen.reshape(-1)[0] = True
    return np.broadcast_to(chosen, call.arrays["logits"].shape)


def one_in_each_slice(context: CheckContext, call: Call) -> Bools:
    """Return a mask of the logits that is true at one random position of each slice."""
    drawn = context.rng.random(call.arrays["logits"].shape)
    return drawn == drawn.max(axis=call.numbers["axis"], keepdims=True)


def slice_integers(context: CheckContext, call: Call) -> AnyArray:
    """Return one random integer from -8 to 8 for each slice; the array broadcasts to the logits."""
    drawn = context.rng.integers(-8, 9, call.arrays["logits"].shape)
    return np.take(drawn, [0], axis=call.numbers["axis"]).astype(call.dtype)
