"""The training loop. It returns what happened and prints nothing.

Spec: specs/model.md, specs/optimiser.md. Every step draws from its own random stream, keyed by seed
and step, so a run that was stopped and resumed ends in the same bytes as one that was not.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any, NamedTuple

from mindref.backend import answering
from mindref.config import Config
from mindref.data.streams import stream
from mindref.models import families
from mindref.models.parameters import Sizes, flatten
from mindref.training import optimiser
from mindref.training.batch_loader import Feed, Task
from mindref.training.divergence import check_state
from mindref.training.engine import Engine


class State(NamedTuple):
    """Everything that the next step depends on."""

    params: Any  # of the family
    moments: optimiser.State  # its `step` is the number of steps taken
    best_step: int  # 0 before the first validation
    best_value: float  # -1 before it: every metric is at least 0
    waited: int  # epochs since the best one
    losses: tuple[float, int] = (0.0, 0)  # sum and number of the losses of the running epoch


class Epoch(NamedTuple):
    """What is reported after every `evaluate_every` steps."""

    step: int
    loss: float  # mean over the steps of the epoch
    value: float  # of the validation metric
    is_best: bool


def start(config: Config, sizes: Sizes) -> State:
    """Return the state before the first step."""
    if families.is_fitted(config.model):
        return State({}, optimiser.State(0, {}, {}), 0, -1.0, 0)
    model = families.family(config.model)
    params = model.init(stream(config.seed, "parameters"), config, sizes)
    return State(params, optimiser.init(flatten(params)), 0, -1.0, 0)


def fit(
    task: Task,
    config: Config,
    *,
    validate: Callable[[Any], float],
    on_epoch: Callable[[State, Epoch], None] = lambda state, epoch: None,
) -> State:
    """Fit a family that is fitted at once: as training, in one step that ends it all."""
    model = families.family(config.model)
    params = model.fit(task.sequences, task.sizes, config, **families.numbers(config, "fit"))
    done = optimiser.State(config.steps, {}, {})  # model-R38
    state, epoch = judge(State(params, done, 0, -1.0, 0, losses=(0.0, 1)), validate)
    on_epoch(state, epoch)
    return state


def train(
    task: Task,
    state: State,
    config: Config,
    engine: Engine,
    *,
    validate: Callable[[Any], float],
    on_step: Callable[[int, float], None] = lambda step, loss: None,
    on_epoch: Callable[[State, Epoch], None] = lambda state, epoch: None,
    stop: Callable[[], bool] = lambda: False,
) -> State:
    """Train from `state` to the last step, or until patience or `stop` says so; return the state.

    The engine has been given the arrays of `state`. After every epoch of `evaluate_every` steps
    (the last one may be shorter) `validate` is asked for the metric that chooses the best epoch,
    and `on_epoch` is given the state to save.
    Raises Diverged when a loss or a gradient is not finite, BackendError for whatever a backend
    raises.
    """
    with closing(Feed(task, config).ahead(state.moments.step, config.steps)) as batches:
        while state.moments.step < config.steps and not (out_of_patience(state, config) or stop()):
            step = state.moments.step
            loss = engine.step(next(batches), rate(config, step))
            state = counted(state, loss)
            on_step(step + 1, loss)
            if (step + 1) % config.evaluate_every == 0 or step + 1 == config.steps:
                state = whole(state, engine)
                with answering(engine.backend, f"validation after step {step + 1}"):
                    state, epoch = judge(state, validate)
                on_epoch(state, epoch)
    return whole(state, engine)


def rate(config: Config, step: int) -> float:
    """Return the learning rate of a step, from 0."""
    return optimiser.learning_rate(config.learning_rate, config.decay, step, config.steps)


def counted(state: State, loss: float) -> State:
    """Return the state with one step more; its arrays are left to the engine until fetched."""
    total, count = state.losses
    moments = state.moments._replace(step=state.moments.step + 1)
    return state._replace(moments=moments, losses=(total + loss, count + 1))


def fetched(state: State, engine: Engine) -> State:
    """Return the state with the arrays of now."""
    params, moments = engine.now()
    return state._replace(params=params, moments=moments)


def whole(state: State, engine: Engine) -> State:
    """Return the state with the arrays of now. Raises Diverged if they are not finite."""
    state = fetched(state, engine)
    check_state(flatten(state.params), state.moments)  # optimiser-R16: before it is kept
    return state


def judge(state: State, validate: Callable[[Any], float]) -> tuple[State, Epoch]:
    """Validate and note whether this epoch is the best so far; the first of equals stays."""
    value, step = validate(state.params), state.moments.step
    total, count = state.losses
    epoch = Epoch(step, total / count, value, value > state.best_value)
    state = state._replace(losses=(0.0, 0))
    if epoch.is_best:
        return state._replace(best_step=step, best_value=value, waited=0), epoch
    return state._replace(waited=state.waited + 1), epoch


def out_of_patience(state: State, config: Config) -> bool:
    """Return whether the validation metric has stood still for `patience` epochs."""
    return config.patience > 0 and state.waited >= config.patience
