"""Checks of a backend as a whole. Spec: specs/backend.md."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as st

from mindref.conformance.checks.routing.agreement import routing_calls
from mindref.conformance.draws.model_draws import loss_calls
from mindref.conformance.draws.training_draws import draw_trainings
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.check import add_check, add_comparison
from mindref.conformance.runner.claims import missing_members
from mindref.conformance.runner.context import CallAnswer, CheckContext
from mindref.conformance.runner.reference import ExpectedArray
from mindref.conformance.runner.result import CheckFailed
from mindref.conformance.strategies import distinct_sizes, generators, normal
from mindref.errors import FOREIGN_ERRORS
from mindref.models import mind
from mindref.models.parameters import flatten
from mindref.ops import label_attention, sampled_softmax
from mindref.ops.embedding import RowGradient
from mindref.shapes import Array
from mindref.training import optimiser

NOT_OBSERVED = {
    **{f"backend-R{n}": "the rule is about loading a backend" for n in (1, 2, 3, 4, 5, 7)},
    "backend-R8": "the rule concerns the names of the reference's operators",
    "backend-R9": "`mindref train` raises the error without a call of the backend",
    "backend-R16": "devices depend on the machine; the check claimed_members_exist requires `on`",
    "backend-R14": "if `differentiate` breaks the rule, every gradient check fails",
    "backend-R17": "the suite tests one process; `mindref train` compares its processes",
    "backend-R19": "mindref chooses the levels; the pages of a claimed family test its results",
    "backend-R20": "mindref chooses the levels; the suite skips settings that a backend leaves out",
    "backend-R21": "malformed claims end the run before any check",
}
"""Rule of specs/backend.md that the suite cannot test -> reason."""

NUMBERS = (np.nan, np.inf, -np.inf, -0.0, 1e-40, 65504.0)
"""Numbers that some dtypes cannot represent, such as 1e-40 in float16."""


@st.composite
def conversion_calls(draw: st.DrawFn) -> Call:
    """Draw a call with an array that starts with `NUMBERS`, or with a transpose or slice of it."""
    rng, shape = draw(generators()), draw(distinct_sizes(3))
    x = np.array(normal(rng, *shape))
    x.reshape(-1)[: len(NUMBERS)] = NUMBERS[: x.size]
    parts = (x, x.T, x[::2], x[:0], x[0, 0, 0].reshape(()), x[:, ::-1])
    return Call("conversion", {"x": draw(st.sampled_from(parts))}, {})


COMPOSITION = loss_calls().map(lambda call: call._replace(stem="composition"))
"""Calls of a model that the suite builds from the operators of the backend."""


@add_check("backend-R13", draws=st.just(Call("contract", {}, {})), stem="contract")
def claimed_members_exist(context: CheckContext, call: Call) -> None:
    """A backend must have every function and method of the capabilities that it claims."""
    backend = tested_backend(context)
    context.assert_true(hasattr(backend, "capabilities"), "the backend has no capabilities()")
    for lack in missing_members(backend, backend.capabilities()):
        context.assert_true(False, lack)


@add_check("backend-R11", draws=conversion_calls(), stem="conversion")
def conversion_round_trip_is_exact(context: CheckContext, call: Call) -> None:
    """to_numpy(from_numpy(x)) must keep the dtype, shape and bytes of x, even of NaN and -0.0."""
    backend, x = tested_backend(context), call.arrays["x"]
    for x_or_mask in (x, np.isfinite(x)):
        back = convert_both_ways(context, backend, x_or_mask)
        same_dtype = isinstance(back, np.ndarray | np.generic) and back.dtype == x_or_mask.dtype
        context.assert_true(
            same_dtype and back.shape == x_or_mask.shape,
            f"{array_description(x_or_mask)} was converted to {array_description(back)}",
        )
        context.assert_true(
            back.tobytes() == x_or_mask.tobytes(),
            f"{array_description(x_or_mask)} has other bytes after to_numpy(from_numpy(x))",
        )


@add_check("backend-R10", draws=routing_calls(), stem="routing", agreement=True)
def saved_of_routing_has_couplings(context: CheckContext, call: Call) -> None:
    """Routing must save `couplings`, the coupling weights of the last iteration."""
    # even if gradients are automatic, serving (backend-R9) reads `couplings` (backend-R10)
    context.assert_agrees(call, "couplings")


@add_comparison("backend-R6", draws=COMPOSITION, stem="composition", gradient=True)
def operators_compose_to_the_model() -> None:
    """A model of the backend's operators must have the loss and gradients of the reference."""


@add_check("backend-R13", draws=loss_calls(), stem="loss", fraction=0.5)
def loss_uses_the_served_interests(context: CheckContext, call: Call) -> None:
    """The result of `loss` must equal the loss computed from the result of `interests`."""
    params, batch, catalogue = call.arrays.values()
    users = {"params": params, "histories": batch.histories, "catalogue": catalogue}
    got, served = context.run(call), context.run(Call("interests", users, call.numbers))
    assert_close_to(context, got, {"loss": loss_of_served(served, call)})


@add_check("backend-R13", draws=draw_trainings(steps=1), stem="training", fraction=0.5)
def step_is_adam_on_the_loss_gradients(context: CheckContext, call: Call) -> None:
    """The first training step must apply Adam to the gradients that the backend returns."""
    params, (batch,), catalogue = call.arrays.values()
    arrays = {"params": params, "batch": batch, "catalogue": catalogue}
    config = {"config": call.numbers["config"]}
    got, gradients = context.run(call), context.run(Call("loss", arrays, config))
    assert_close_to(context, got, after_adam(gradients, call))


@add_check("backend-R15", draws=draw_trainings(steps=3), stem="training", fraction=0.5)
def training_resumes_from_parameters_and_moments(context: CheckContext, call: Call) -> None:
    """A resumed training must end in the same bytes as a training without interruption."""
    context.assert_equal(context.run(call.change(pause=1)), context.run(call))


def tested_backend(context: CheckContext) -> Any:
    """Return the backend under test, or None if `context.implementation` has no backend."""
    return getattr(context.implementation, "backend", None)


def convert_both_ways(context: CheckContext, backend: Any, x: Array) -> Any:
    """Return to_numpy(from_numpy(x)). If the backend raises an error, the check fails."""
    try:
        return backend.to_numpy(backend.from_numpy(x))
    except FOREIGN_ERRORS as error:
        raise CheckFailed(f"raised {type(error).__name__}: {error}", context.evidence()) from error


def array_description(x: Array) -> str:
    """Return type, dtype and shape of an array as text."""
    shape, dtype = getattr(x, "shape", ""), getattr(x, "dtype", "")
    return f"{type(x).__name__} {dtype}{shape}"


def assert_close_to(context: CheckContext, got: CallAnswer, expected: Mapping[str, Array]) -> None:
    """Compare `got` with `expected`, which was computed from other results of the backend."""
    for name, value in expected.items():
        allowed = 2 * context.expected(got.call)[name].allowed  # `got` and `value` both have errors
        worst = partial(context.worst_case, got.call, got.call, name)
        context.assert_close(name, got[name], ExpectedArray(value, allowed), worst)


def loss_of_served(served: CallAnswer, call: Call) -> Array:
    """Return the loss of the batch in `call`, computed in float64 from `served["interests"]`."""
    params, batch, catalogue = call.to(np.float64).arrays.values()
    config = call.numbers["config"]
    target, _ = mind.item_vectors(params, batch.target, catalogue)
    negatives, _ = mind.item_vectors(params, batch.negatives, catalogue)
    interests = served["interests"].astype(np.float64)
    user, _ = label_attention.forward(
        interests, target, served["active"], power=config.effective_power
    )
    loss, _ = sampled_softmax.forward(
        user,
        target,
        negatives,
        batch.target,
        batch.negatives,
        batch.target_log_expected,
        batch.negative_log_expected,
        temperature=config.temperature,
        normalise=config.normalise,
    )
    return np.asarray(loss)


def after_adam(gradients: CallAnswer, call: Call) -> Mapping[str, Array]:
    """Return the parameters after one step of Adam with `gradients`, computed in float64."""
    config = call.numbers["config"]
    after = {n: x.astype(np.float64) for n, x in flatten(call.arrays["params"]).items()}
    d_after: dict[str, Array | RowGradient] = {}
    for name in after:
        gradient = gradients[f"d_{name}"].astype(np.float64)
        is_table = name in ("items", "profile")
        d_after[name] = RowGradient(np.arange(len(gradient)), gradient) if is_table else gradient
    optimiser.update(
        after,
        d_after,
        optimiser.init(after),
        learning_rate=call.numbers["learning_rate"],
        beta1=config.beta1,
        beta2=config.beta2,
        epsilon=config.epsilon,
        dense_rate=config.dense_rate,
    )
    return after
