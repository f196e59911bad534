"""Training batches by step number, with one batch of prefetch.

Spec: specs/model.md, specs/data.md; specs/din.md for rerankers. A batch is a function of the seed
and the number of its step; for a reranker, also of the recall run.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from mindref.data.batches import pad_examples
from mindref.data.examples import TrainingExamples, count_items
from mindref.data.log import Ints, Ragged
from mindref.data.negatives import Sampler, make_sampler
from mindref.data.rng import make_rng
from mindref.errors import ConfigError, say
from mindref.models import din, mind
from mindref.models.family import Draw, family_of
from mindref.models.logits import draw_logits, history_logits, keyed_table
from mindref.models.parameters import Catalogue, Sizes

Candidates = Callable[[Ragged, Ints, int], Ints]
"""(histories, profiles, n) -> the top-n items of a recall run for each history (C, n); -1 pads."""


class Task(NamedTuple):
    """Data of a training: sequences, profiles and catalogue."""

    sequences: Ragged  # T rows
    profiles: Ints  # (T, G) rows of the profile table
    catalogue: Catalogue
    sizes: Sizes
    candidates: Candidates | None = None  # only for a reranker
    history_lengths: Ints | None = None  # (E,) of each target in sequences; None: all items before


class BatchLoader:
    """Batches of a recall family: examples, negatives and initial logits."""

    def __init__(self, task: Task, config: Any) -> None:
        self.task, self.config = task, config
        self.family = family_of(config.model)
        self.examples = self.make_examples()
        self.make_negatives()

    def make_examples(self) -> TrainingExamples:
        """Return the examples of the training sequences."""
        task, by = self.task, self.config.target_sampling
        return TrainingExamples(task.sequences, by=by, history_lengths=task.history_lengths)

    def make_negatives(self) -> None:
        """Prepare the sampler of negatives and the table of fixed initial logits."""
        task, config, items = self.task, self.config, self.task.sizes.items
        self.sampler: Sampler = make_sampler(
            "full" if config.loss == "full" else config.sampler,  # model-R15
            count_items(task.sequences, items),
            size=config.negatives,
            alpha=config.alpha,
            target_probability=self.examples.target_probability(items),
        )
        self.keyed: Any = None
        if config.logits == "fixed" and self.family.routes:
            self.keyed = keyed_table(
                config.seed, items, config.interests, config.sigma, config.dtype
            )

    def rows(self, step: int) -> Ints:
        """Return the training rows (B,) of the users in the batch of a step."""
        _, rows, _ = self.draw_examples(step)
        return rows

    def draw_examples(self, step: int) -> tuple[np.random.Generator, Ints, Ints]:
        """Return the generator of a step, and its first draws: rows and positions (B,)."""
        rng = make_rng(self.config.seed, "batch", step)  # din-R17
        return rng, *self.examples.draw(rng, self.config.batch)

    def history_lengths(self, rows: Ints, positions: Ints) -> Ints:
        """Return the number of items in the history of each example (B,)."""
        return self.examples.history_lengths[self.task.sequences.offsets[rows] + positions]

    def batch(self, step: int) -> Any:
        """Return the batch of a step: a mind.Batch, or the batch type of the family."""
        config = self.config
        rng, rows, positions = self.draw_examples(step)
        length = self.family.history_length(config)
        available = self.history_lengths(rows, positions)
        laid = pad_examples(self.task.sequences, rows, positions, length, available)
        drawn_set = self.sampler.draw(rng, laid.target)  # data-R103
        if self.keyed is not None:
            logits = history_logits(self.keyed, laid.history)
        else:
            shape = (*laid.history.shape, self.family.num_logits(config))
            logits = draw_logits(rng, shape, config.sigma, config.dtype)
        histories = mind.Histories(laid.history, laid.mask, logits, self.task.profiles[rows])
        batch = mind.Batch(
            histories,
            laid.target,
            drawn_set.ids,
            drawn_set.target_log_expected.astype(config.dtype),
            drawn_set.log_expected.astype(config.dtype),
        )
        draw = Draw(rng, rows, self.task.sequences, self.task.sizes, config)
        return self.family.make_batch(batch, draw)  # mind_plus-R15: its draws come last

    def prefetch(self, first: int, stop: int) -> Generator[Any]:
        """Yield the batches of the steps from `first` to before `stop`.

        A thread prepares the next batch while the caller uses the current one.
        """
        if first >= stop:
            return
        with ThreadPoolExecutor(1) as executor:
            future = executor.submit(self.batch, first)
            for step in range(first + 1, stop):
                batch = future.result()
                future = executor.submit(self.batch, step)
                yield batch
            yield future.result()


class RerankBatchLoader(BatchLoader):
    """Batches of a reranker: examples with candidates of the recall run and popular items.

    Source: Zhou et al., KDD 2018, section 5, where impressions and clicks are logged. A log of
    interactions has no impressions: the negatives are items that recall would have shown.
    """

    def make_examples(self) -> TrainingExamples:
        """Return the examples of the training sequences."""
        return TrainingExamples(self.task.sequences, history_lengths=self.task.history_lengths)

    def make_negatives(self) -> None:
        """Make the sampler. Raises ConfigError if `recalled_negatives` is too large."""
        task, config, items = self.task, self.config, self.task.sizes.items
        if config.recalled_negatives > min(config.candidates, items):
            expected = f"at most candidates and the catalogue, {min(config.candidates, items)}"
            raise ConfigError(say("recalled_negatives", expected, config.recalled_negatives))
        # one spare popular item for each recalled item that a short list may lack
        size = config.batch * (config.popular_negatives + config.recalled_negatives)
        counts = count_items(task.sequences, items)
        self.sampler = make_sampler("unigram", counts, size=size, alpha=config.alpha)

    def batch(self, step: int) -> din.Batch:
        """Return the batch of a step, a function of the recall run, the seed and the step."""
        config = self.config
        rng, rows, positions = self.draw_examples(step)
        task = self.task
        assert task.candidates is not None  # RerankTrainer sets it
        available = self.history_lengths(rows, positions)
        laid = pad_examples(task.sequences, rows, positions, config.window, available)
        before = task.sequences.slice(rows, np.zeros_like(available), available)
        profiles = task.profiles[rows]
        listed = task.candidates(before, profiles, config.candidates)  # din-R15
        hard = draw_without_replacement(rng, listed, config.recalled_negatives)
        drawn_items = self.sampler.draw(rng, laid.target).ids.reshape(config.batch, -1)
        popular, spare = np.split(drawn_items, [config.popular_negatives], axis=1)
        hard = np.where(hard < 0, spare, hard)  # din-R15: an empty position of a short list
        candidates = np.concatenate([laid.target[:, None], hard, popular], axis=1)  # din-R14
        labels = candidates == laid.target[:, None]  # din-R16
        histories = din.histories_without_logits(laid.history, laid.mask, profiles, config)
        return din.Batch(histories, candidates, labels)


def draw_without_replacement(rng: np.random.Generator, lists: Ints, count: int) -> Ints:
    """Return `count` items of each list (B, count), drawn without replacement from (B, n)."""
    order = np.argsort(rng.random(lists.shape), axis=1)
    return np.take_along_axis(lists, order[:, :count], axis=1)


def make_loader(task: Task, config: Any) -> BatchLoader:
    """Return the batch loader of the family that the settings name."""
    reranks = family_of(config.model).reranks
    return RerankBatchLoader(task, config) if reranks else BatchLoader(task, config)
