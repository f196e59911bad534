"""What every step of a training sees, and the next of it made ready meanwhile.

Spec: specs/model.md, specs/data.md. A batch is a function of the seed and the number of its step.
"""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from mindref.config import Config
from mindref.data.batches import lay_out
from mindref.data.log import Ints, Ragged
from mindref.data.negatives import Sampler, make_sampler
from mindref.data.samples import Cuts, item_counts
from mindref.data.streams import stream
from mindref.models import mind
from mindref.models.logits import drawn, keyed_table, of_history
from mindref.models.parameters import Catalogue, Sizes


class Task(NamedTuple):
    """What there is to learn from: sequences, who they belong to, what items are made of."""

    sequences: Ragged  # T rows
    profiles: Ints  # (T, G) rows of the profile table
    catalogue: Catalogue
    sizes: Sizes


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

    def ahead(self, first: int, stop: int) -> Generator[mind.Batch]:
        """Yield the batches of the steps from first to stop; the next is made while one is used."""
        if first >= stop:
            return
        with ThreadPoolExecutor(1) as other:
            coming = other.submit(self.batch, first)
            for step in range(first + 1, stop):
                batch = coming.result()
                coming = other.submit(self.batch, step)
                yield batch
            yield coming.result()
