"""The training loop, without output.

Spec: specs/model.md, specs/optimiser.md. Each step has a random stream keyed by seed and step, so a
resumed run ends with the same bytes as an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any, NamedTuple

from mindref.backend import backend_errors
from mindref.data.rng import make_rng
from mindref.models.family import FamilyConfig, family_of
from mindref.models.parameters import Sizes, flatten
from mindref.training import optimiser
from mindref.training.batch_loader import Task, make_loader
from mindref.training.divergence import check_finite_state
from mindref.training.engine import Engine


class TrainingState(NamedTuple):
    """All inputs of the next step, and the best validation."""

    params: Any  # of the family
    moments: optimiser.State  # its `step` is the number of steps taken
    best_step: int  # 0 before the first validation
    best_value: float  # -1 before it: every metric is at least 0
    waited: int  # validations since the best one
    losses: tuple[float, int] = (0.0, 0)  # sum and number since a validation


class Validation(NamedTuple):
    """Report after `evaluate_every` steps, or after fewer at the end of a training."""

    step: int
    loss: float  # mean over the steps since the last validation
    value: float | None  # of the validation metric; None without validation
    is_best: bool


class Hooks(NamedTuple):
    """Functions that a training calls; the defaults do nothing. Users pass callbacks instead."""

    on_step: Callable[[int, float], None] = lambda step, loss: None
    on_validation: Callable[[Validation], None] = lambda validation: None
    stop: Callable[[], bool] = lambda: False  # polled before each step


Validate = Callable[[Any], float]
"""(parameters) -> the validation metric."""

Save = Callable[[TrainingState, Validation], None]
"""(state, validation) -> None: saves the state after a validation."""


def initial_state(config: FamilyConfig, sizes: Sizes) -> TrainingState:
    """Return the state before the first step."""
    family, rng = family_of(config.model), make_rng(config.seed, "parameters")
    params = family.init(rng, config, sizes)
    moments = optimiser.init(flatten(params))
    return TrainingState(params, moments, best_step=0, best_value=-1.0, waited=0)


def fit_model(
    task: Task, config: FamilyConfig, validate: Validate | None
) -> tuple[TrainingState, Validation]:
    """Return the state of a family that is fitted in one call, and its only validation.

    Without `validate` the validation has no metric.
    """
    params = family_of(config.model).fit(task.sequences, task.sizes, config)
    done = optimiser.State(config.steps, {}, {})  # model-R38
    return validate_state(TrainingState(params, done, 0, -1.0, 0, losses=(0.0, 1)), validate)


def train_steps(
    task: Task,
    state: TrainingState,
    config: FamilyConfig,
    engine: Engine,
    hooks: Hooks,
    *,
    validate: Validate | None,
    save: Save = lambda state, validation: None,
) -> TrainingState:
    """Return the state at the end of the training (see `end_reason`), or where a hook stops it.

    The engine must have the arrays of `state`. After every `evaluate_every` steps and at the end,
    `validate` returns the metric that selects the best parameters, and `save` receives the state.
    Without `validate`, there is no metric and no best validation. Raises Diverged for a loss or a
    gradient that is not finite, BackendError for errors of the backend.
    """
    with closing(make_loader(task, config).prefetch(state.moments.step, config.steps)) as batches:
        while not (end_reason(state, config) or hooks.stop()):
            step = state.moments.step
            loss = engine.step(next(batches), step_learning_rate(config, step))
            state, step = count_step(state, loss), step + 1
            hooks.on_step(step, loss)
            if step % config.evaluate_every == 0 or step == config.steps:
                state = fetch_finite(state, engine)
                with backend_errors(engine.backend, f"validation after step {step}"):
                    state, validation = validate_state(state, validate)
                save(state, validation)
                hooks.on_validation(validation)
    return fetch_finite(state, engine)


def end_reason(state: TrainingState, config: FamilyConfig) -> str:
    """Return why the training has ended: steps or patience; "" if it has not."""
    if state.moments.step >= config.steps:
        return "steps"
    if 0 < config.patience <= state.waited:  # optimiser-R17
        return "patience"
    return ""


def step_learning_rate(config: FamilyConfig, step: int) -> float:
    """Return the learning rate of a step; steps are counted from 0."""
    return optimiser.learning_rate(config.learning_rate, config.decay, step, config.steps)


def count_step(state: TrainingState, loss: float) -> TrainingState:
    """Return the state with one more step counted; the arrays stay in the engine."""
    total, count = state.losses
    moments = state.moments._replace(step=state.moments.step + 1)
    return state._replace(moments=moments, losses=(total + loss, count + 1))


def fetch_arrays(state: TrainingState, engine: Engine) -> TrainingState:
    """Return the state with the current arrays of the engine."""
    params, moments = engine.fetch_state()
    return state._replace(params=params, moments=moments)


def fetch_finite(state: TrainingState, engine: Engine) -> TrainingState:
    """Return the state with the current arrays. Raises Diverged if they are not finite."""
    state = fetch_arrays(state, engine)
    # optimiser-R16: before the state is saved
    check_finite_state(flatten(state.params), state.moments)
    return state


def validate_state(
    state: TrainingState, validate: Validate | None
) -> tuple[TrainingState, Validation]:
    """Return the state after a validation, and the validation. Of equal values the first is best.

    Without `validate`, no validation is the best one.
    """
    total, count = state.losses
    step = state.moments.step
    if validate is None:
        return state._replace(losses=(0.0, 0)), Validation(step, total / count, None, False)
    value = validate(state.params)
    validation = Validation(step, total / count, value, value > state.best_value)
    state = state._replace(losses=(0.0, 0))
    if validation.is_best:
        return state._replace(best_step=step, best_value=value, waited=0), validation
    return state._replace(waited=state.waited + 1), validation
