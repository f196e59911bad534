"""Checks of training (level 3 of the backend contract): Adam steps with row-sparse gradients.

Spec: specs/optimiser.md. A backend has no separate function for the Adam update. The checks
therefore compare the parameters after one, two and three steps.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from mindref.conformance.draws.model_draws import looked_up_rows
from mindref.conformance.draws.training_draws import (
    draw_trainings,
    with_every_row_used,
    with_late_item,
    with_skipped_item,
    with_zero_gradient_step,
    with_zero_gradients_between,
)
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.check import add_check, add_comparison
from mindref.conformance.runner.composed_backend import reference_model, squares_are_finite
from mindref.conformance.runner.context import CheckContext
from mindref.models.parameters import Layer, flatten, flatten_gradients
from mindref.shapes import Bools

NOT_OBSERVED = {
    "optimiser-R9": "each step receives the learning rate as an argument",
    **{
        f"optimiser-R{n}": "a step of the backend passes its gradients to the update internally"
        for n in (10, 11, 12)
    },
    **{
        f"optimiser-R{n}": "the rule concerns the errors and files of `mindref train`"
        for n in (15, 16)
    },
    **{f"optimiser-R{n}": "the rule concerns the end of a training" for n in range(17, 21)},
    "optimiser-R21": "a step of a backend updates only rows with a gradient",
}
"""Rule of specs/optimiser.md that no check can test -> reason."""

draw_stable = partial(draw_trainings, iterations=1, hidden=())
"""Draws trainings whose rounding errors stay small, even after three steps."""

MOVED = 1e-3
"""A parameter has moved if it changed by more than this fraction of the learning rate."""


# checks of properties


@add_check("optimiser-R5", draws=draw_trainings(), fraction=0.5)
def unused_rows_keep_their_bytes(context: CheckContext, call: Call) -> None:
    """Table rows that no batch looks up must keep their bytes during training."""
    params, got = call.arrays["params"], context.run(call)
    items, profile = unused_rows(call)
    context.assert_exact(got, "items", params.items, mask=items[:, None])
    context.assert_exact(got, "profile", params.profile, mask=profile[:, None])


@add_check("optimiser-R5, R6", draws=draw_trainings(steps=2), fraction=0.5)
def row_unused_in_a_step_does_not_move(context: CheckContext, call: Call) -> None:
    """In step two, table rows that the second batch does not look up must keep their bytes."""
    first, second = call.arrays["batches"]
    before, after = context.run(call.change(batches=(first,))), context.run(call)
    items, profile = unused_rows(call.change(batches=(second,)))
    context.assert_exact(after, "items", before["items"], mask=items[:, None])
    context.assert_exact(after, "profile", before["profile"], mask=profile[:, None])


@add_check(
    "optimiser-R6", draws=draw_trainings(steps=1, change_call=with_zero_gradient_step), fraction=0.5
)
def row_with_zero_gradient_still_moves(context: CheckContext, call: Call) -> None:
    """If gradients are 0, looked-up rows with non-zero moments must move; other rows must not."""
    params, batches, catalogue = call.arrays.values()
    before, after = context.run(call.change(batches=batches[:1])), context.run(call)
    looked_up = np.isin(np.arange(len(params.items)), looked_up_rows(batches[1], catalogue))
    context.assert_exact(after, "items", before["items"], mask=~looked_up[:, None])
    moved = np.abs(before["items"] - params.items) > MOVED * call.numbers["learning_rate"]
    still = moved & looked_up[:, None] & (after["items"] == before["items"])
    context.assert_true(not still.any(), "a row with gradient 0 did not move", after, "items")


@add_check("optimiser-R4", draws=draw_trainings(), fraction=0.5)
def zero_learning_rate_moves_nothing(context: CheckContext, call: Call) -> None:
    """With learning rate 0, every parameter must keep its bytes."""
    context.run(call)
    got = context.run(call.change(learning_rate=0.0))
    for name, x in flatten(call.arrays["params"]).items():
        context.assert_exact(got, name, x)


@add_check("optimiser-R22", draws=draw_trainings(steps=1), fraction=0.5)
def dense_rate_changes_only_dense_parameters(context: CheckContext, call: Call) -> None:
    """A dense_rate of 1/4 must act on dense parameters as 1/4 of the rate, and not on tables."""
    config, rate = call.numbers["config"], call.numbers["learning_rate"]
    plain = call.change(config=replace(config, dense_rate=1.0))
    got = context.run(call.change(config=replace(config, dense_rate=0.25)))
    expected = {True: context.run(plain), False: context.run(plain.change(learning_rate=rate / 4))}
    for name in flatten(call.arrays["params"]):
        context.assert_exact(got, name, expected[name in ("items", "profile")][name])


@add_check("optimiser-R8", "numerics-R8", draws=draw_trainings(), fraction=0.5)
def training_keeps_no_state_of_earlier_runs(context: CheckContext, call: Call) -> None:
    """A training must give the same bytes when it is repeated after another training."""
    first = context.run(call)
    context.run(call.change(batches=call.arrays["batches"][::-1], learning_rate=1.0))
    context.assert_equal(context.run(call), first)


@add_check("optimiser-R14", draws=draw_trainings(steps=2), fraction=0.5)
def non_finite_loss_skips_the_step(context: CheckContext, call: Call) -> None:
    """If the loss of a batch is NaN, the step must change neither parameters nor moments."""
    params, (first, last), catalogue = call.arrays.values()
    without_nan = context.run(call.change(batches=(last,)))
    logits = np.full_like(first.histories.init_logits, np.nan)
    first = first._replace(histories=first.histories._replace(init_logits=logits))
    config = call.numbers["config"]
    loss, _ = reference_model().loss_and_gradients(params, first, catalogue, config)
    if np.isfinite(loss):
        return  # uniform routing ignores the logits, so the loss is finite
    got = context.run(call.change(batches=(first, last)))
    context.assert_true(not np.isfinite(got["losses"][0]), "the loss is finite", got, "losses")
    for name in flatten(params):
        context.assert_exact(got, name, without_nan[name])


@add_check("optimiser-R14", draws=draw_trainings(steps=1, hidden=(5,)), fraction=0.5)
def overflowing_squared_gradient_gives_nan_loss(context: CheckContext, call: Call) -> None:
    """If the square of a gradient overflows, the step must return a loss that is not finite."""
    context.run(call)
    params, (batch,), catalogue = call.arrays.values()
    params = params._replace(layers=opposite_scales(params.layers))
    config = call.numbers["config"]
    _, gradients = reference_model().loss_and_gradients(params, batch, catalogue, config)
    with np.errstate(over="ignore"):
        fits = all(map(squares_are_finite, flatten_gradients(gradients).values()))
    if fits:
        return  # no square overflows, for example because every hidden unit is negative
    got = context.run(call.change(params=params))
    context.assert_true(not np.isfinite(got["losses"]).any(), "the loss is finite", got, "losses")


# comparisons with the reference


@add_comparison("optimiser-R4, R3, R8", draws=draw_trainings(steps=1))
def one_step_matches_the_reference() -> None:
    """After one step, the loss and every parameter must match the reference."""


@add_comparison(
    "optimiser-R1, R2, R3, R4, R13", draws=draw_trainings(steps=2) | draw_stable(steps=3)
)
def two_and_three_steps_match_the_reference() -> None:
    """After two or three steps, losses and parameters must match the reference."""


@add_comparison(
    "optimiser-R2", draws=draw_stable(steps=3, change_call=with_late_item), fraction=0.5
)
def late_row_uses_the_global_step_count() -> None:
    """If a row is first used in step three, its bias correction must use the global step count."""


@add_comparison(
    "optimiser-R5",
    draws=draw_stable(steps=3, change_call=with_skipped_item, beta1=0.5, beta2=0.9),
    fraction=0.25,
)
def skipped_row_keeps_its_moments() -> None:
    """A table row used in steps one and three, but not two, must keep its moments in step two."""


@add_comparison(
    "optimiser-R6, R1",
    draws=draw_stable(steps=2, change_call=with_zero_gradients_between),
    fraction=0.5,
)
def moments_decay_in_a_zero_gradient_step() -> None:
    """If all gradients are 0 in step two of three, the parameters must match the reference."""


@add_comparison(
    "optimiser-R7", draws=draw_stable(steps=2, change_call=with_every_row_used), fraction=0.5
)
def table_with_every_row_used_matches() -> None:
    """If each step looks up every row of the item table, the table must match the reference."""


def opposite_scales(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """Return two layers, the first divided by a large number, the second multiplied by it.

    The output does not change, but the square of the first layer's gradient overflows.
    """
    first, second = layers
    up = np.sqrt(np.finfo(first.weight.dtype).max, dtype=first.weight.dtype) * 1e5
    return (Layer(first.weight / up, first.bias / up), Layer(second.weight * up, second.bias))


def unused_rows(call: Call) -> tuple[Bools, Bools]:
    """Return masks of the item rows and of the profile rows that no batch looks up."""
    params, batches, catalogue = call.arrays.values()
    items, profile = np.ones(len(params.items), bool), np.ones(len(params.profile), bool)
    for batch in batches:
        items[looked_up_rows(batch, catalogue)] = False
        profile[batch.histories.profile] = False
    return items, profile
