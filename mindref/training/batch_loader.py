"""What every step of a training sees, and the next of it made ready meanwhile.

Spec: specs/model.md, specs/data.md. A batch is a function of the seed and the number of its step.
"""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from mindref.config import Config
from mindref.data.batches import lay_out
from mindref.data.log import Ints, Ragged
from mindref.data.negatives import Sampler, make_sampler
from mindref.data.samples import Cuts, item_counts
from mindref.data.streams import stream
from mindref.models import maxmf, mind, mind_plus
from mindref.models.families import routed
from mindref.models.logits import drawn, keyed_table, of_history
from mindref.models.parameters import Catalogue, Sizes
from mindref.shapes import Array, Bools


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
        if config.logits == "fixed" and routed(config):
            self.keyed = keyed_table(
                config.seed, items, config.interests, config.sigma, config.dtype
            )

    def rows(self, step: int) -> Ints:
        """Return the training rows (B,) of the users in the batch of a step."""
        return self.cuts.draw(stream(self.config.seed, "batch", step), self.config.batch)[0]

    def batch(self, step: int) -> Any:
        """Return the batch of a step, a function of the seed and the step alone.

        MIND and YouTube DNN get a mind.Batch, other families a batch of their own around it.
        """
        config, rng = self.config, stream(self.config.seed, "batch", step)
        rows, positions = self.cuts.draw(rng, config.batch)
        # a user of MaxMF is known by the row: long histories would be laid out to no end
        window = 1 if config.model == "maxmf" else config.window
        laid = lay_out(self.task.sequences, rows, positions, window)
        drawn_set = self.sampler.draw(rng, laid.target)
        if self.keyed is not None:
            logits = of_history(self.keyed, laid.history)
        else:
            shape = (*laid.history.shape, routed(config))
            logits = drawn(rng, shape, config.sigma, config.dtype)
        histories = mind.Histories(laid.history, laid.mask, logits, self.task.profiles[rows])
        batch = mind.Batch(
            histories,
            laid.target,
            drawn_set.ids,
            drawn_set.target_log_expected.astype(config.dtype),
            drawn_set.log_expected.astype(config.dtype),
        )
        if config.model == "maxmf":
            return maxmf.Batch(batch, rows, self.had(rows, drawn_set.ids))
        if config.model == "mind_plus":
            return mind_plus.Batch(batch, self.kept(rng, laid.mask))  # mind_plus-R15: drawn last
        return batch

    def had(self, rows: Ints, items: Ints) -> Bools:
        """Return which items (S,) stand in which training sequences (B, S): no negatives."""
        found = np.empty((len(rows), len(items)), np.bool_)
        marked = np.zeros(self.task.sizes.items, np.bool_)
        for at, row in enumerate(rows):
            own = self.task.sequences.row(int(row))
            marked[own] = True
            found[at] = marked[items]
            marked[own] = False
        return found

    def kept(self, rng: np.random.Generator, mask: Bools) -> Array | None:
        """Return factors of the vectors of behaviours (B, L, D) for dropout, None without it.

        An entry stays with chance 1 - dropout, and then counts for those that do not.
        """
        rate = self.config.dropout
        if not rate:
            return None
        chances = rng.random((*mask.shape, self.config.width), dtype=np.float32)
        return ((chances >= rate) / (1 - rate)).astype(self.config.dtype)  # mind_plus-R14

    def ahead(self, first: int, stop: int) -> Generator[Any]:
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
