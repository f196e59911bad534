"""Train DIN to rank what a trained run recalls.

Spec: specs/din.md, Training. Source: Zhou et al., KDD 2018, section 5; there impressions and clicks
are logged. A log of behaviours has no impressions: the negatives are what recall would have shown.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mindref.data.batches import lay_out
from mindref.data.log import Ints, Ragged
from mindref.data.negatives import make_sampler
from mindref.data.samples import Cuts, item_counts
from mindref.data.splits import Cases, slices
from mindref.data.streams import stream
from mindref.errors import ConfigError, DataError, say
from mindref.evaluation.top_n import Ranked
from mindref.models import din, mind
from mindref.models.din_config import DinConfig
from mindref.models.parameters import Catalogue, Sizes, flatten, flatten_gradients
from mindref.recommender.judging import Bench, rank
from mindref.recommender.prepared import Prepared, prepare
from mindref.recommender.served import Served
from mindref.run.source import Loaded
from mindref.shapes import Array, Bools
from mindref.training import divergence, optimiser
from mindref.training.batch_loader import Task
from mindref.training.divergence import Diverged

Recall = Callable[[Ragged, Ints, int], Ranked]
"""The n best items that a trained run has for histories and profiles, as it serves them."""


class Ranker(NamedTuple):
    """A trained DIN, ready to rank."""

    params: din.Params
    catalogue: Catalogue
    config: DinConfig


class Feed:
    """Batches by step number: cuts, histories, and candidates that a run recalls for them."""

    def __init__(self, recall: Recall, task: Task, config: DinConfig) -> None:
        self.recall, self.task, self.config = recall, task, config
        if config.recalled > min(config.depth, task.sizes.items):
            expected = f"at most depth and the catalogue, {min(config.depth, task.sizes.items)}"
            raise ConfigError(say("recalled", expected, config.recalled))
        self.cuts = Cuts(task.sequences)
        counts = item_counts(task.sequences, task.sizes.items)
        # one popular item more for each that a short list cannot give
        size = config.batch * (config.popular + config.recalled)
        self.sampler = make_sampler("unigram", counts, size=size, alpha=config.alpha)

    def rows(self, step: int) -> Ints:
        """Return the training rows (B,) of the users in the batch of a step."""
        return self.drawn(step)[1]

    def drawn(self, step: int) -> tuple[np.random.Generator, Ints, Ints]:
        """Return what draws the batch of a step, and the rows and positions that it drew first."""
        rng = stream(self.config.seed, "batch", step)  # din-R17
        return rng, *self.cuts.draw(rng, self.config.batch)

    def batch(self, step: int) -> din.Batch:
        """Return the batch of a step, a function of recall, the seed and the step alone."""
        config, (rng, rows, positions) = self.config, self.drawn(step)
        laid = lay_out(self.task.sequences, rows, positions, config.window)
        before = slices(self.task.sequences, rows, np.zeros_like(positions), positions)
        profiles = self.task.profiles[rows]
        listed = self.recall(before, profiles, config.depth).items  # din-R15
        hard = without_replacement(rng, listed, config.recalled)
        drawn = self.sampler.draw(rng, laid.target).ids.reshape(config.batch, -1)
        popular, spare = np.split(drawn, [config.popular], axis=1)
        hard = np.where(hard < 0, spare, hard)  # din-R15: an empty place of a short list
        candidates = np.concatenate([laid.target[:, None], hard, popular], axis=1)  # din-R14
        labels = candidates == laid.target[:, None]  # din-R16
        return din.Batch(plain(laid.history, laid.mask, profiles, config), candidates, labels)


def without_replacement(rng: np.random.Generator, listed: Ints, count: int) -> Ints:
    """Draw `count` places of each list (B, n), all alike and none twice (B, count)."""
    order = np.argsort(rng.random(listed.shape), axis=1)
    return np.take_along_axis(listed, order[:, :count], axis=1)


def plain(history: Ints, mask: Bools, profiles: Ints, config: DinConfig) -> mind.Histories:
    """Return histories without initial logits, of which DIN has no use."""
    return mind.Histories(history, mask, np.zeros((*history.shape, 0), config.dtype), profiles)


def recall_of(served: Served, exclude_seen: bool = True) -> Recall:
    """Return what lists the items of a trained run."""

    def recall(histories: Ragged, profiles: Ints, n: int) -> Ranked:
        nobody = np.zeros(len(histories), np.int64)
        bench = Bench(Cases(nobody, histories, histories), profiles, nobody, exclude_seen)
        return rank(served.model, bench, n, served.backend)[0]

    return recall


def prepared_of(served: Served) -> Prepared:
    """Return the log of a run as the run was trained on it.

    DataError for another log: its test cases may be what this run was trained on.
    """
    if not served.is_trained_on:
        todo = "name the very log of the run"
        raise DataError(say("log", "the one that the run was trained on", "another", todo))
    return prepare(Loaded(served.log), served.facts["protocol"], served.model.config)


class State(NamedTuple):
    """Where a training stands."""

    params: din.Params
    moments: optimiser.State  # their step is the number of steps taken


def start(config: DinConfig, sizes: Sizes, items: Array | None = None) -> State:
    """Return the state before the first step; items as in `train_din`. Raises ConfigError."""
    if items is None and config.start == "recall":
        raise ConfigError(say("start", "drawn, or a table to start from", config.start))
    params = din.init(stream(config.seed, "parameters"), config, sizes)
    if items is not None:
        if items.shape != params.items.shape:
            raise ConfigError(say("items", f"shape {params.items.shape}", items.shape))
        params = params._replace(items=items.astype(config.dtype))  # a copy, which steps change
    return State(params, optimiser.init(flatten(params)))


def take_step(state: State, feed: Feed) -> tuple[State, float]:
    """Take the next step of Adam; return the state after it, and its loss.

    The arrays of the state are changed in place. Raises Diverged, before that, for a loss that is
    no number, and for a gradient that is none.
    """
    config, step = feed.config, state.moments.step  # din-R23: all that a step depends on
    batch, named, bad = feed.batch(step), flatten(state.params), [""]
    given = state.params, batch, feed.task.catalogue, config
    with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is looked at
        loss, saved = din.loss(*given)
        if math.isfinite(loss):
            gradients = flatten_gradients(din.backward(saved))
            bad = [name for name, x in gradients.items() if not divergence.bounded(x)]
    if bad:  # optimiser-R14
        tables = divergence.by_name(named, state.moments)
        got = f"a gradient of {', '.join(bad)} beyond all bounds" if bad[0] else str(float(loss))
        found = divergence.look(din, *given, tables)
        words = "loss of step {}", "a number"
        raise Diverged(step + 1, got, found, "try a smaller learning rate", words=words)
    rate = optimiser.learning_rate(config.learning_rate, config.decay, step, config.steps)
    moments = optimiser.update(named, gradients, state.moments, learning_rate=rate)
    return State(state.params, moments), float(loss)


def train_din(
    recall: Recall,
    task: Task,
    config: DinConfig,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
    items: Array | None = None,
) -> Ranker:
    """Train for `config.steps` steps of Adam on what is recalled for cuts of the training rows.

    items (V, D), if given, is what the item table starts from: that of the recall run, for example.
    Raises Diverged as soon as a loss or a gradient is no number; ConfigError or DataError before
    the first step.
    """
    feed = Feed(recall, task, config)
    state = start(config, task.sizes, items)
    while state.moments.step < config.steps:
        state, loss = take_step(state, feed)
        on_step(state.moments.step, loss)
    return Ranker(state.params, task.catalogue, config)
