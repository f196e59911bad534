"""Checks of trainings of many steps, of later steps, and of several trainings at a time.

Spec: specs/optimiser.md. Over many steps, rounding errors grow, and no useful bound holds for the
last parameters. So each step is compared with a step of the reference from the state (parameters
and moments) that the backend returned before this step. Then errors of earlier steps do not count.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from mindref.conformance.draws.model_draws import SMOOTH, ModelCase, draw_models
from mindref.conformance.draws.training_draws import draw_trainings
from mindref.conformance.runner.call import AnyArray, Call
from mindref.conformance.runner.check import add_check
from mindref.conformance.runner.composed_backend import reference_model
from mindref.conformance.runner.context import CallAnswer, CheckContext
from mindref.conformance.runner.result import CheckFailed, Evidence
from mindref.models.mind import Batch
from mindref.models.parameters import flatten, unflatten
from mindref.shapes import Array
from mindref.training.optimiser import State

STEPS = 205
"""A step takes about a millisecond."""

NUM_PARTS = 6
"""Error bounds are computed for the first step, and for the worst step of NUM_PARTS parts of a
training. The bounds of one step take as long as 20 steps."""

LATER = (10, 150, 999, 100_000)
"""Steps at which a training is resumed. 0.999^n is 0.99, 0.86, 0.37 and below 1e-43."""


def steps_call(world: ModelCase) -> Call:
    """Return a training on all batches of `world`, with a learning rate that falls linearly.

    All batches have as many negatives as the first one, so that a backend that compiles a program
    for each shape compiles one program.
    """
    count = len(world.batches[0].negatives)
    batches = tuple(with_negatives(batch, count) for batch in world.batches)
    arrays = {"params": world.params, "batches": batches, "catalogue": world.catalogue}
    rates = tuple(0.02 * (1 - n / len(world.batches)) for n in range(len(world.batches)))
    return Call("steps", arrays, {"config": world.config, "rates": rates})


def with_negatives(batch: Batch, count: int) -> Batch:
    """Return `batch` with `count` negatives: the first ones, or all of them repeated."""
    return batch._replace(
        negatives=np.resize(batch.negatives, count),
        negative_log_expected=np.resize(batch.negative_log_expected, count),
    )


def long_trainings() -> st.SearchStrategy[Call]:
    """Draw trainings of STEPS steps."""
    models = draw_models(steps=STEPS, pool=(2, 3, 4, 5), accept=lambda world: True, **SMOOTH)
    return models.map(steps_call)


@add_check(
    "optimiser-R4, R1, R2, R3",
    stem="steps",
    draws=long_trainings(),
    agreement=True,
    fraction=0.2,
    shrinks=False,
)
def each_step_follows_from_the_state_before_it(context: CheckContext, call: Call) -> None:
    """In a training of 205 steps, each step must be the step of the reference from its state."""
    got = context.run(call)
    assert_step_matches(context, call, got, 0)
    for steps in np.array_split(range(1, STEPS), NUM_PARTS):
        distances = [step_distance(call, got, step) for step in steps]
        worst = int(np.argmax(distances))
        assert_step_matches(context, call, got, int(steps[worst]))
    for number, counted in enumerate(got["step"], 1):
        message = f"after step {number} of {STEPS}, the moments have step {counted}"
        context.assert_true(counted == number, message, got, "step")


def state_before(call: Call, got: CallAnswer, step: int) -> tuple[Any, State]:
    """Return parameters and moments that the backend returned before the step (from 0)."""
    params = call.arrays["params"]
    if step == 0:
        zeros = {name: np.zeros_like(x) for name, x in flatten(params).items()}
        return params, State(0, zeros, {name: x.copy() for name, x in zeros.items()})
    names, dtype = tuple(flatten(params)), call.dtype

    def tables(prefix: str) -> dict[str, Array]:
        return {name: got[prefix + name][step - 1].astype(dtype) for name in names}

    return unflatten(tables(""), type(params)), State(step, tables("first."), tables("second."))


def single_step(call: Call, got: CallAnswer, step: int) -> Call:
    """Return the call that resumes before the step (from 0), and takes this step."""
    params, moments = state_before(call, got, step)
    arrays = {
        "params": params,
        "batches": call.arrays["batches"][step : step + 1],
        "catalogue": call.arrays["catalogue"],
        "moments": moments,
    }
    numbers = {"config": call.numbers["config"], "pause": 0}
    return Call("training", arrays, {**numbers, "learning_rate": call.numbers["rates"][step]})


def step_distance(call: Call, got: CallAnswer, step: int) -> float:
    """Return the largest difference from the reference's step, divided by the size of a rounding.

    The size of a rounding, in units of eps, is |parameter| + learning rate; it is 0 for a row that
    the step does not use. For the loss, it is 1 or |loss|.
    """
    single = single_step(call, got, step).to(np.float64)
    params, batches, catalogue, moments = single.arrays.values()
    config, rate = single.numbers["config"], single.numbers["learning_rate"]
    state = reference_model().init(params, config, moments)
    before = {name: x.copy() for name, x in flatten(params).items()}
    after, loss = reference_model().step(state, batches[0], catalogue, config, rate)
    distance = largest_distance(got["losses"][step], loss, np.maximum(1.0, np.abs(loss)))
    for name, x in flatten(after.params).items():
        size = np.where(x == before[name], 0.0, np.abs(x) + rate)
        distance = max(distance, largest_distance(got[name][step], x, size))
    return distance


def largest_distance(got: AnyArray, expected: AnyArray, size: AnyArray) -> float:
    """Return the largest |got - expected| / size.

    Infinity where exactly one of `got` and `expected` is finite, 0 where both are not.
    """
    finite = np.isfinite(expected)
    with np.errstate(all="ignore"):
        off = np.abs(got - expected)
        relative = np.where((off == 0) | ~finite, 0.0, off / size)
    relative = np.where(np.isfinite(got) == finite, relative, np.inf)
    return float(np.max(relative, initial=0))


def assert_step_matches(context: CheckContext, call: Call, got: CallAnswer, step: int) -> None:
    """Compare parameters and loss after a step with those of the reference, within its bounds."""
    single = single_step(call, got, step)
    after = {name: got[name][step] for name in flatten(call.arrays["params"])}
    answer = CallAnswer(single, {"losses": got["losses"][step : step + 1], **after})
    try:
        context.assert_matches(answer, tuple(answer))
    except CheckFailed as failure:
        message = f"step {step + 1} of {STEPS}: {failure}"
        evidence = evidence_of_step(context, single) or failure.evidence
        raise CheckFailed(message, evidence._replace(training=(call, got))) from failure


def evidence_of_step(context: CheckContext, single: Call) -> Evidence | None:
    """Return the evidence of a single step that is resumed; None if the backend is then right."""
    try:
        CheckContext(context.implementation, context.precision, 0, context.factor).assert_agrees(
            single
        )
    except CheckFailed as failure:
        return failure.evidence
    return None


def with_moments(call: Call, step: int) -> Call:
    """Return a training that starts after `step` steps, with moments that are not zero."""
    rng = np.random.default_rng(step)
    tables = flatten(call.arrays["params"])
    first: dict[str, Array] = {}
    second: dict[str, Array] = {}
    for name, x in tables.items():
        first[name] = (0.1 * rng.standard_normal(x.shape)).astype(x.dtype)
        second[name] = (first[name] ** 2 + 0.01 * rng.random(x.shape)).astype(x.dtype)
    return call._replace(arrays={**call.arrays, "moments": State(step, first, second)})


@add_check(
    "optimiser-R2, R3",
    "backend-R15",
    draws=draw_trainings(steps=2, hidden=(), iterations=1),
    agreement=True,
    fraction=0.2,
)
def later_steps_match_the_reference(context: CheckContext, call: Call) -> None:
    """After a start at step 10, 150, 999 or 100,000 with moments, the next two steps must match."""
    for step in LATER:
        context.assert_agrees(with_moments(call, step))


@add_check("optimiser-R8", "backend-R12", draws=draw_trainings(steps=2), fraction=0.5)
def trainings_that_alternate_do_not_mix(context: CheckContext, call: Call) -> None:
    """If two trainings of one backend take steps in turn, each must end as if it were alone."""
    undisturbed = context.run(call)
    context.assert_equal(
        context.run(call._replace(numbers={**call.numbers, "alternates": 1})), undisturbed
    )
