"""The training loop. It returns what happened and prints nothing.

Spec: specs/model.md, specs/optimiser.md. Every step draws from its own random stream, keyed by seed
and step, so a run that was stopped and resumed ends in the same bytes as one that was not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from mindref import optimiser
from mindref.backend import Backend
from mindref.config import Config
from mindref.data.batches import lay_out
from mindref.data.log import Ints, Ragged
from mindref.data.negatives import Sampler, make_sampler
from mindref.data.samples import Cuts, item_counts
from mindref.data.streams import stream
from mindref.errors import STRANGE, BackendError, MindrefError, say
from mindref.models import mind
from mindref.models.logits import drawn, keyed_table, of_history
from mindref.models.parameters import (
    Catalogue,
    Params,
    Sizes,
    flatten,
    flatten_gradients,
    init,
)


class Task(NamedTuple):
    """What there is to learn from: sequences, who they belong to, what items are made of."""

    sequences: Ragged  # T rows
    profiles: Ints  # (T, G) rows of the profile table
    catalogue: Catalogue
    sizes: Sizes


class State(NamedTuple):
    """Everything that the next step depends on."""

    params: Params
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


class Diverged(MindrefError):
    """The loss is no number any more; the last epoch on disk is still good."""


def start(config: Config, sizes: Sizes) -> State:
    """Return the state before the first step."""
    params = init(stream(config.seed, "parameters"), config, sizes)
    return State(params, optimiser.init(flatten(params)), 0, -1.0, 0)


def train(
    task: Task,
    state: State,
    config: Config,
    backend: Backend,
    *,
    validate: Callable[[Params], float],
    on_step: Callable[[int, float], None] = lambda step, loss: None,
    on_epoch: Callable[[State, Epoch], None] = lambda state, epoch: None,
    stop: Callable[[], bool] = lambda: False,
) -> State:
    """Train from `state` to the last step, or until patience or `stop` says so; return the state.

    After every epoch of `evaluate_every` steps (the last one may be shorter) `validate` is asked
    for the metric that chooses the best epoch, and `on_epoch` is given the state to save.
    Raises Diverged when a loss is not finite, BackendError for whatever a backend raises.
    """
    check_trains(backend)
    feed = Feed(task, config)
    while state.moments.step < config.steps and not out_of_patience(state, config) and not stop():
        step = state.moments.step
        state, loss = take_step(state, feed.batch(step), task.catalogue, config, backend)
        on_step(step + 1, loss)
        if (step + 1) % config.evaluate_every == 0 or step + 1 == config.steps:
            with answering(backend, f"validation after step {step + 1}"):
                state, epoch = judge(state, validate)
            on_epoch(state, epoch)
    return state


def check_trains(backend: Backend) -> None:
    """Raise BackendError for a backend that cannot say its gradients (backend-R9)."""
    claims = backend.capabilities()
    if claims.gradients != "derived":
        todo = "it can evaluate and recall; train with another --backend"
        got = f"gradients {claims.gradients!r}"
        raise BackendError(say(f"backend {backend.name}", "operators with backward", got, todo))


def take_step(
    state: State, batch: mind.Batch, catalogue: Catalogue, config: Config, backend: Backend
) -> tuple[State, float]:
    """Take one step: loss, gradients, Adam. The arrays of `state` are changed in place."""
    step = state.moments.step
    with answering(backend, f"step {step + 1}"):
        ops = backend.ops  # backend-R6
        loss, saved = mind.loss(state.params, batch, catalogue, config, ops)
        if not np.isfinite(loss):
            todo = "lower --learning-rate; --resume goes on from the last epoch"
            raise Diverged(say(f"step {step + 1}", "a finite loss", float(loss), todo))
        gradients = flatten_gradients(mind.backward(saved, ops=ops))
    moments = optimiser.update(
        flatten(state.params),
        gradients,
        state.moments,
        learning_rate=optimiser.learning_rate(
            config.learning_rate, config.decay, step, config.steps
        ),
        beta1=config.beta1,
        beta2=config.beta2,
        epsilon=config.epsilon,
    )
    total, count = state.losses
    return state._replace(moments=moments, losses=(total + float(loss), count + 1)), float(loss)


@contextmanager
def answering(backend: Backend, where: str) -> Iterator[None]:
    """Turn whatever the operators of a stranger raise into a BackendError that says when."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is looked at
            yield
    except (MindrefError, MemoryError):
        raise
    except STRANGE as error:
        if backend.name == "numpy":  # our own fault, to be reported as one
            raise
        got, todo = f"{type(error).__name__}: {error}", "choose another --backend"
        raise BackendError(say(f"backend {backend.name}, {where}", "arrays", got, todo)) from error


def judge(state: State, validate: Callable[[Params], float]) -> tuple[State, Epoch]:
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


class Feed:
    """Batches by step number: cuts, histories, negatives and initial logits."""

    def __init__(self, task: Task, config: Config) -> None:
        items = task.sizes.items
        self.task, self.config = task, config
        self.cuts = Cuts(task.sequences, by=config.cuts)
        self.sampler: Sampler = make_sampler(
            "full" if config.loss == "full" else config.sampler,  # model-R15
            item_counts(task.sequences, items),
            size=config.negatives,
            alpha=config.alpha,
            target_probability=self.cuts.target_probability(items),
        )
        self.keyed: Any = None
        if config.logits == "fixed":
            self.keyed = keyed_table(
                config.seed, items, config.interests, config.sigma, config.dtype
            )

    def batch(self, step: int) -> mind.Batch:
        """Return the batch of a step, a function of the seed and the step alone."""
        config, rng = self.config, stream(self.config.seed, "batch", step)
        rows, positions = self.cuts.draw(rng, config.batch)
        laid = lay_out(self.task.sequences, rows, positions, config.window)
        drawn_set = self.sampler.draw(rng, laid.target)
        if self.keyed is not None:
            logits = of_history(self.keyed, laid.history)
        else:
            shape = (*laid.history.shape, config.interests)
            logits = drawn(rng, shape, config.sigma, config.dtype)
        histories = mind.Histories(laid.history, laid.mask, logits, self.task.profiles[rows])
        return mind.Batch(
            histories,
            laid.target,
            drawn_set.ids,
            drawn_set.target_log_expected.astype(config.dtype),
            drawn_set.log_expected.astype(config.dtype),
        )
