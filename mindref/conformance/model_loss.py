"""What is asked of the loss of the model and of its gradients, at level 2. Spec: specs/model.md."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.conformance import gradient
from mindref.conformance.draws.worlds import ITEMS, against_everything, changed, losses, rows_of
from mindref.conformance.judging.call import Call
from mindref.conformance.judging.check import check
from mindref.conformance.judging.failure import Broken
from mindref.conformance.judging.judge import Judge
from mindref.models.mind import Histories
from mindref.models.parameters import Catalogue, flatten, unflatten

BEYOND = (-1, ITEMS, 10**6)
"""Items that no catalogue has."""


@check("model-R8", draws=losses(), stem="loss", gradient=True)
def what_stands_in_a_padded_place_is_never_looked_up(judge: Judge, call: Call) -> None:
    """Any ids in padded places leave loss, gradients and the rows that are named, byte for byte."""
    batch = call.arrays["batch"]
    items, mask, *rest = batch.histories
    rubbish = judge.rng.choice([-1, 0, 1, ITEMS, 10**9], size=items.shape)
    other = Histories(np.where(mask, items, rubbish), mask, *rest)
    first = judge.ask(call)
    judge.equal(judge.ask(call.change(batch=batch._replace(histories=other))), first)


@check("model-R10", "model-R8", draws=losses(), stem="loss", gradient=True)
def each_row_that_is_looked_up_is_named_once(judge: Judge, call: Call) -> None:
    """The gradient of the item table names the rows in use, each once and ascending, no other."""
    _, batch, catalogue = call.arrays.values()
    found, wanted = judge.ask(call)["rows"].tolist(), rows_of(batch, catalogue).tolist()
    judge.holds(found == wanted, f"the gradient names the rows {found}, expected {wanted}")


@check("model-R1", draws=losses(), stem="loss", gradient=True)
def a_value_of_weight_zero_is_no_part_of_an_item(judge: Judge, call: Call) -> None:
    """Other rows behind weights of zero leave loss, gradients and named rows, byte for byte."""
    rows, weights = call.arrays["catalogue"]
    other = judge.rng.integers(0, len(call.arrays["params"].items), rows.shape)
    changed = Catalogue(np.where(weights == 0, other, rows), weights)
    first = judge.ask(call)
    judge.equal(judge.ask(call.change(catalogue=changed)), first)


@check("model-R14", draws=losses(attention="mean"), stem="loss", gradient=True)
def the_mean_of_interests_knows_no_power(judge: Judge, call: Call) -> None:
    """With attention "mean" another power leaves loss and gradients, byte for byte."""
    config, first = call.numbers["config"], judge.ask(call)
    for power in (0.0, 1.0, 3.0, np.inf):
        judge.equal(judge.ask(call.change(config=changed(config, power=power))), first)


@check("model-R16", "numerics-R8", draws=losses(), stem="loss", gradient=True, share=0.5)
def nothing_is_kept_from_batch_to_batch(judge: Judge, call: Call) -> None:
    """The same batch gives the same bytes, whatever was asked in between."""
    first, batch = judge.ask(call), call.arrays["batch"]
    judge.ask(call.change(batch=batch._replace(target=batch.target[::-1].copy())))
    judge.equal(judge.ask(call), first)


@check("model-R18", draws=losses(), stem="loss", share=0.5)
def an_item_that_the_catalogue_lacks_is_refused(judge: Judge, call: Call) -> None:
    """An id of no item raises as behaviour, as target and as negative, minus one included."""
    batch = call.arrays["batch"]
    judge.ask(call)
    for item in BEYOND:
        negatives, target = batch.negatives.copy(), batch.target.copy()
        negatives[-1] = target[-1] = item
        judge.refuses(call.change(batch=batch._replace(negatives=negatives)))
        judge.refuses(call.change(batch=batch._replace(target=target)))
        items, mask = np.full_like(batch.histories.items, item), np.ones_like(batch.histories.mask)
        histories = batch.histories._replace(items=items, mask=mask)
        judge.refuses(call.change(batch=batch._replace(histories=histories)))


@check(*("model-R1", "model-R9", "model-R10"), draws=losses(), stem="loss", agreement=True)
def the_loss_is_that_of_the_reference(judge: Judge, call: Call) -> None:
    """The loss of a batch agrees with the reference under every named option."""
    judge.agree(call, "loss")


@check("model-R14", draws=losses(attention="mean"), stem="loss", agreement=True, share=0.5)
def the_loss_of_the_mean_is_that_of_the_reference(judge: Judge, call: Call) -> None:
    """With attention "mean" the loss agrees with the reference."""
    judge.agree(call, "loss")


@check("model-R15", draws=losses(loss="full").map(against_everything), stem="loss", agreement=True)
def the_full_loss_is_that_of_the_reference(judge: Judge, call: Call) -> None:
    """With loss "full", against every item once and uncorrected, the loss agrees."""
    judge.agree(call, "loss")


@check("model-R11", draws=losses(iterations=1), stem="loss", gradient=True, share=0.5)
def one_round_has_one_gradient(judge: Judge, call: Call) -> None:
    """With one round, whose weights no parameter moves, both gradients of routing are the same."""
    config = call.numbers["config"]
    every, last = (
        judge.ask(call.change(config=changed(config, routing_gradient=way)))
        for way in ("all", "last")
    )
    judge.same(every, last)


@check(
    *("model-R9", "model-R10", "model-R11"),
    draws=losses(routing_gradient="all", power=1.0) | losses(iterations=1, power=1.0),
    stem="loss",
    gradient=True,
    share=0.5,
)
def gradients_follow_from_the_loss(judge: Judge, call: Call) -> None:
    """The exact gradients are the slopes of the backend's own loss, by central differences."""
    first = judge.ask(call)
    if judge.precision.input != "float64":
        return
    named = flatten(call.arrays["params"])

    def loss(*arrays: Any) -> Any:
        moved = unflatten(dict(zip(named, arrays, strict=True)))
        return judge.quietly(call.change(params=moved))["loss"]

    def slopes(cotangent: Any) -> list[Any]:
        return [cotangent * first[f"d_{name}"] for name in named]

    try:
        gradient.check(loss, slopes, list(named.values()), judge.rng, step=gradient.SHORT_STEP)
    except AssertionError as error:
        raise Broken(str(error), judge.evidence()) from error


@check(
    *("model-R9", "model-R1", "model-R2", "model-R4"),
    draws=losses(iterations=1, power=1.0),
    stem="loss",
    gradient=True,
    agreement=True,
)
def gradients_of_one_round_are_those_of_the_reference(judge: Judge, call: Call) -> None:
    """With one round and a query that learns, every gradient agrees with the reference."""
    judge.agree(call)


@check(
    *("model-R11", "model-R13"),
    draws=losses(iterations=3, hidden=()),
    stem="loss",
    gradient=True,
    agreement=True,
)
def gradients_through_the_rounds_are_those_of_the_reference(judge: Judge, call: Call) -> None:
    """Through three rounds, or the last alone, every gradient agrees with the reference."""
    judge.agree(call)


@check(
    *("model-R10", "model-R5", "model-R6", "model-R8", "model-R9", "model-R11", "model-R12"),
    *("model-R13", "model-R14"),
    draws=losses(),
    stem="loss",
    gradient=True,
    agreement=True,
)
def gradients_are_those_of_the_reference(judge: Judge, call: Call) -> None:
    """Under every named option the gradient by every parameter agrees with the reference."""
    judge.agree(call)


@check(
    "model-R15",
    draws=losses(loss="full").map(against_everything),
    stem="loss",
    gradient=True,
    agreement=True,
    share=0.5,
)
def gradients_of_the_full_loss_are_those_of_the_reference(judge: Judge, call: Call) -> None:
    """With loss "full" the gradient by every parameter agrees with the reference."""
    judge.agree(call)
