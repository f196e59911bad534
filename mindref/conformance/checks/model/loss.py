"""Checks of the loss and the gradients. Spec: specs/model.md."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mindref.conformance.draws.model_draws import (
    ITEMS,
    looked_up_rows,
    loss_calls,
    with_full_softmax,
)
from mindref.conformance.gradient import SHORT_STEP
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.check import add_check, add_comparison
from mindref.conformance.runner.context import CheckContext
from mindref.conformance.runner.gradient_check import assert_matches_differences
from mindref.models.mind import Histories
from mindref.models.parameters import Catalogue, flatten, unflatten

FULL = loss_calls(loss="full").map(with_full_softmax)  # every item is a negative
BEYOND = (-1, ITEMS, 10**6)
"""Item ids outside the catalogue."""


@add_check("model-R8", draws=loss_calls(), gradient=True)
def padding_ids_are_never_looked_up(context: CheckContext, call: Call) -> None:
    """Item ids in padded positions must not change any byte of the loss or the gradients."""
    batch = call.arrays["batch"]
    items, mask, *other_fields = batch.histories
    garbage = context.rng.choice([-1, 0, 1, ITEMS, 10**9], size=items.shape)
    other = Histories(np.where(mask, items, garbage), mask, *other_fields)
    first = context.run(call)
    context.assert_equal(context.run(call.change(batch=batch._replace(histories=other))), first)


@add_check("model-R10, R8", draws=loss_calls(), gradient=True)
def gradient_lists_each_used_row_once(context: CheckContext, call: Call) -> None:
    """The gradient of the item table must list exactly the looked-up rows, in ascending order."""
    _, batch, catalogue = call.arrays.values()
    rows, expected = context.run(call)["rows"].tolist(), looked_up_rows(batch, catalogue).tolist()
    message = f"the gradient lists the rows {rows}, expected {expected}"
    context.assert_true(rows == expected, message)


@add_check("model-R1", draws=loss_calls(), gradient=True)
def feature_of_weight_zero_is_ignored(context: CheckContext, call: Call) -> None:
    """The row index of a feature with weight 0 must change no byte of the loss or gradients."""
    rows, weights = call.arrays["catalogue"]
    other = context.rng.integers(0, len(call.arrays["params"].items), rows.shape)
    changed = Catalogue(np.where(weights == 0, other, rows), weights)
    first = context.run(call)
    context.assert_equal(context.run(call.change(catalogue=changed)), first)


@add_check("model-R14", draws=loss_calls(attention="mean"), gradient=True)
def mean_attention_ignores_the_power(context: CheckContext, call: Call) -> None:
    """With attention="mean", `power` must not change any byte of the loss or the gradients."""
    config, first = call.numbers["config"], context.run(call)
    for power in (0.0, 1.0, 3.0, np.inf):
        other = call.change(config=replace(config, power=power))
        context.assert_equal(context.run(other), first)


@add_check("model-R16", "numerics-R8", draws=loss_calls(), gradient=True, fraction=0.5)
def loss_keeps_no_state_between_batches(context: CheckContext, call: Call) -> None:
    """A repeated batch must give the same bytes, even after another batch."""
    first, batch = context.run(call), call.arrays["batch"]
    context.run(call.change(batch=batch._replace(target=batch.target[::-1].copy())))
    context.assert_equal(context.run(call), first)


@add_check("model-R18", draws=loss_calls(), fraction=0.5)
def unknown_item_raises(context: CheckContext, call: Call) -> None:
    """A behaviour, target or negative with an id outside the catalogue must raise an error."""
    batch = call.arrays["batch"]
    context.run(call)
    for item in BEYOND:
        negatives, target = batch.negatives.copy(), batch.target.copy()
        negatives[-1] = target[-1] = item
        context.assert_raises(call.change(batch=batch._replace(negatives=negatives)))
        context.assert_raises(call.change(batch=batch._replace(target=target)))
        items, mask = np.full_like(batch.histories.items, item), np.ones_like(batch.histories.mask)
        histories = batch.histories._replace(items=items, mask=mask)
        context.assert_raises(call.change(batch=batch._replace(histories=histories)))


@add_comparison("model-R1, R9, R10", draws=loss_calls(), parts=("loss",))
def model_loss_matches_the_reference() -> None:
    """For all options of the model, the loss of a batch must match the reference."""


@add_comparison("model-R14", draws=loss_calls(attention="mean"), fraction=0.5, parts=("loss",))
def mean_attention_loss_matches_the_reference() -> None:
    """With attention="mean", the loss must match the reference."""


@add_comparison("model-R15", draws=FULL, parts=("loss",))
def full_softmax_loss_matches_the_reference() -> None:
    """With loss="full" and every item as a negative, the loss must match the reference."""


@add_check("model-R11", draws=loss_calls(iterations=1), gradient=True, fraction=0.5)
def routing_gradients_agree_for_one_iteration(context: CheckContext, call: Call) -> None:
    """With one iteration, routing_gradient="all" and "last" must give the same gradients."""
    config = call.numbers["config"]
    every, last = (
        context.run(call.change(config=replace(config, routing_gradient=way)))
        for way in ("all", "last")
    )
    context.assert_same(every, last)


@add_check(
    "model-R9, R10, R11",
    draws=loss_calls(routing_gradient="all", power=1.0) | loss_calls(iterations=1, power=1.0),
    gradient=True,
    fraction=0.5,
)
def model_gradients_match_finite_differences(context: CheckContext, call: Call) -> None:
    """In float64, the gradients must match central differences of the backend's loss."""
    first = context.run(call)
    if context.precision.input != "float64":
        return
    params = flatten(call.arrays["params"])

    def loss(*arrays: Any) -> Any:
        moved = unflatten(dict(zip(params, arrays, strict=True)), type(call.arrays["params"]))
        return context.run_silently(call.change(params=moved))["loss"]

    def slopes(cotangent: Any) -> list[Any]:
        return [cotangent * first[f"d_{name}"] for name in params]

    assert_matches_differences(context, loss, slopes, list(params.values()), SHORT_STEP)


@add_comparison("model-R9, R1, R2, R4", draws=loss_calls(iterations=1, power=1.0), gradient=True)
def one_iteration_model_gradients_match() -> None:
    """With one iteration and power 1, every gradient must match the reference."""


@add_comparison("model-R11, R13", draws=loss_calls(iterations=3, hidden=()), gradient=True)
def three_iteration_model_gradients_match() -> None:
    """With three iterations, every gradient must match the reference."""


@add_comparison("model-R10, R5, R6, R8, R9, R11, R12, R13, R14", draws=loss_calls(), gradient=True)
def model_gradients_match_the_reference() -> None:
    """For all options of the model, the gradients of all parameters must match the reference."""


@add_comparison("model-R15", draws=FULL, gradient=True, fraction=0.5)
def full_softmax_gradients_match_the_reference() -> None:
    """With loss="full", the gradient of every parameter must match the reference."""
