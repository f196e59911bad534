"""What is asked of training, at level 3: some steps of Adam with row-sparse gradients.

Spec: specs/optimiser.md. The update itself is no part of the contract: its rules show in the
parameters after one, two and three steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.conformance.draws.trainings import (
    trainings,
    with_a_late_item,
    with_a_silence_between,
    with_a_silent_step,
    with_an_item_at_rest,
    with_every_row_named,
)
from mindref.conformance.draws.worlds import rows_of
from mindref.conformance.judging.call import Call
from mindref.conformance.judging.check import check
from mindref.conformance.judging.composed import reference_model, squares_are_finite
from mindref.conformance.judging.judge import Judge
from mindref.models.parameters import Layer, flatten, flatten_gradients
from mindref.shapes import Bools

NOT_OBSERVED = {
    "optimiser-R9": "the rate of a step is handed to it",
    **{
        f"optimiser-R{n}": "gradients go from loss to update inside the backend"
        for n in (10, 11, 12)
    },
    **{
        f"optimiser-R{n}": "numbers that are none end a training by an error of the reference's"
        for n in (15, 16)
    },
}
"""Rules of the page that no question to a backend can show, and why."""

STEADY: dict[str, Any] = {"iterations": 1, "hidden": ()}
"""Settings in which errors grow slowly, for three steps."""

SEEN = 1e-3
"""Part of the learning rate above which a row has moved for certain."""


# laws and exact cases


@check("optimiser-R5", draws=trainings(), stem="training", share=0.5)
def rows_that_no_step_names_keep_their_bytes(judge: Judge, call: Call) -> None:
    """Rows of both tables that no batch looks up are the same bytes after training."""
    params, got = call.arrays["params"], judge.ask(call)
    items, profile = untouched(call)
    judge.exactly(got, "items", params.items, where=items[:, None])
    judge.exactly(got, "profile", params.profile, where=profile[:, None])


@check("optimiser-R5", "optimiser-R6", draws=trainings(steps=2), stem="training", share=0.5)
def a_row_rests_in_a_step_that_does_not_name_it(judge: Judge, call: Call) -> None:
    """A row of the first batch that the second does not look up keeps what the first made of it."""
    first, second = call.arrays["batches"]
    before, after = judge.ask(call.change(batches=(first,))), judge.ask(call)
    items, profile = untouched(call.change(batches=(second,)))
    judge.exactly(after, "items", before["items"], where=items[:, None])
    judge.exactly(after, "profile", before["profile"], where=profile[:, None])


@check(
    "optimiser-R6",
    draws=trainings(steps=1, becomes=with_a_silent_step),
    stem="training",
    share=0.5,
)
def a_row_named_with_zeros_moves_on(judge: Judge, call: Call) -> None:
    """A step whose gradients are all zero moves the rows that it looks up, and the others not."""
    params, batches, catalogue = call.arrays.values()
    before, after = judge.ask(call.change(batches=batches[:1])), judge.ask(call)
    named = np.isin(np.arange(len(params.items)), rows_of(batches[1], catalogue))
    judge.exactly(after, "items", before["items"], where=~named[:, None])
    moved = np.abs(before["items"] - params.items) > SEEN * call.numbers["learning_rate"]
    still = moved & named[:, None] & (after["items"] == before["items"])
    judge.holds(not still.any(), "a row that was named with zeros stood still", after, "items")


@check("optimiser-R4", draws=trainings(), stem="training", share=0.5)
def a_rate_of_zero_moves_nothing(judge: Judge, call: Call) -> None:
    """With a learning rate of zero every parameter keeps its bytes."""
    judge.ask(call)
    got = judge.ask(call.change(learning_rate=0.0))
    for name, x in flatten(call.arrays["params"]).items():
        judge.exactly(got, name, x)


@check("optimiser-R8", "numerics-R8", draws=trainings(), stem="training", share=0.5)
def every_training_starts_from_nothing(judge: Judge, call: Call) -> None:
    """The same training gives the same bytes after another one: moments and steps are its own."""
    first = judge.ask(call)
    judge.ask(call.change(batches=call.arrays["batches"][::-1], learning_rate=1.0))
    judge.equal(judge.ask(call), first)


@check("optimiser-R14", draws=trainings(steps=2), stem="training", share=0.5)
def a_step_whose_loss_is_no_number_is_not_taken(judge: Judge, call: Call) -> None:
    """After a batch of NaN a step leaves the bytes that it leaves without that batch."""
    params, (first, last), catalogue = call.arrays.values()
    alone = judge.ask(call.change(batches=(last,)))
    logits = np.full_like(first.histories.init_logits, np.nan)
    first = first._replace(histories=first.histories._replace(init_logits=logits))
    config = call.numbers["config"]
    loss, _ = reference_model().loss_and_gradients(params, first, catalogue, config)
    if np.isfinite(loss):
        return  # routing that looks at no logits
    got = judge.ask(call.change(batches=(first, last)))
    judge.holds(not np.isfinite(got["losses"][0]), "the loss is finite", got, "losses")
    for name in flatten(params):
        judge.exactly(got, name, alone[name])


@check("optimiser-R14", draws=trainings(steps=1, hidden=(5,)), stem="training", share=0.5)
def a_gradient_too_large_for_its_square_is_told_by_the_loss(judge: Judge, call: Call) -> None:
    """With layers of opposite scale the loss is as before, and NaN is returned in its place."""
    judge.ask(call)
    params, (batch,), catalogue = call.arrays.values()
    params = params._replace(layers=at_odds(params.layers))
    config = call.numbers["config"]
    _, gradients = reference_model().loss_and_gradients(params, batch, catalogue, config)
    with np.errstate(over="ignore"):
        fits = all(map(squares_are_finite, flatten_gradients(gradients).values()))
    if fits:
        return  # no unit of the hidden layer is at work
    got = judge.ask(call.change(params=params))
    judge.holds(not np.isfinite(got["losses"]).any(), "the loss is finite", got, "losses")


# agreement, from simple to compound


@check(
    *("optimiser-R4", "optimiser-R3", "optimiser-R8"),
    draws=trainings(steps=1),
    stem="training",
    agreement=True,
)
def one_step_is_that_of_the_reference(judge: Judge, call: Call) -> None:
    """After one step loss and parameters agree with the reference."""
    judge.agree(call)


@check(
    *("optimiser-R1", "optimiser-R2", "optimiser-R3", "optimiser-R4", "optimiser-R13"),
    draws=trainings(steps=2) | trainings(steps=3, **STEADY),
    stem="training",
    agreement=True,
)
def some_steps_are_those_of_the_reference(judge: Judge, call: Call) -> None:
    """After two or three steps losses and parameters agree, in the type of the call."""
    judge.agree(call)


@check(
    "optimiser-R2",
    draws=trainings(steps=3, becomes=with_a_late_item, **STEADY),
    stem="training",
    agreement=True,
    share=0.5,
)
def a_row_that_comes_late_is_corrected_by_the_count_of_steps(judge: Judge, call: Call) -> None:
    """A row that is first looked up in step three moves as in the reference."""
    judge.agree(call)


@check(
    "optimiser-R5",
    draws=trainings(steps=3, becomes=with_an_item_at_rest, beta1=0.5, beta2=0.9, **STEADY),
    stem="training",
    agreement=True,
    share=0.25,
)
def a_row_that_rested_goes_on_with_its_moments(judge: Judge, call: Call) -> None:
    """A row that is looked up in steps one and three alone moves as in the reference."""
    judge.agree(call)


@check(
    *("optimiser-R6", "optimiser-R1"),
    draws=trainings(steps=2, becomes=with_a_silence_between, **STEADY),
    stem="training",
    agreement=True,
    share=0.5,
)
def moments_decay_as_in_the_reference(judge: Judge, call: Call) -> None:
    """After two steps and one of zero gradients between them the parameters agree."""
    judge.agree(call)


@check(
    "optimiser-R7",
    draws=trainings(steps=2, becomes=with_every_row_named, **STEADY),
    stem="training",
    agreement=True,
    share=0.5,
)
def a_table_of_which_every_row_is_named_moves_like_any_other(judge: Judge, call: Call) -> None:
    """With every item looked up in each step the table agrees with the reference."""
    judge.agree(call)


def at_odds(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """Return two layers that do what they did, the first scaled down and the second up.

    The gradient by the first is then too large to be squared.
    """
    first, second = layers
    up = np.sqrt(np.finfo(first.weight.dtype).max, dtype=first.weight.dtype) * 1e5
    return (
        Layer(first.weight / up, first.bias / up),
        Layer(second.weight * up, second.bias),
    )


def untouched(call: Call) -> tuple[Bools, Bools]:
    """Return which rows of the tables of items and profiles no batch looks up."""
    params, batches, catalogue = call.arrays.values()
    items, profile = np.ones(len(params.items), bool), np.ones(len(params.profile), bool)
    for batch in batches:
        items[rows_of(batch, catalogue)] = False
        profile[batch.histories.profile] = False
    return items, profile
