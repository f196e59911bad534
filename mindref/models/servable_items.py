"""Items that a model may serve: items whose vector was trained.

Spec: specs/model.md, model-R41 to model-R44. The catalogue of a trained model gives untrained rows
of the item table the weight 0. An item whose weights are all 0 has no vector and is not servable.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.data.log import Ints, Ragged
from mindref.models.parameters import Catalogue
from mindref.shapes import Bools


def find_trained_items(
    sequences: Ragged, items: int, *, by_steps: bool, history_lengths: Ints | None = None
) -> Bools:
    """Return which of `items` items (N,) are a behaviour or target in the training sequences.

    by_steps: a sequence without an example trains no item; an example needs two interactions.
    history_lengths (E,): as in `TrainingExamples`.
    """
    is_trained, lengths = np.zeros(items, np.bool_), sequences.lengths
    has_example = lengths >= (2 if by_steps else 1)
    if by_steps and history_lengths is not None:
        has_example = sequences.where(history_lengths >= 1).lengths > 0
    is_used = np.repeat(has_example, lengths)
    is_trained[sequences.values[is_used]] = True  # model-R41
    return is_trained


def mask_untrained_rows(catalogue: Catalogue, is_trained: Bools) -> Catalogue:
    """Return the catalogue with weight 0 for the table rows that no trained item uses.

    is_trained (N,): items. The other weights of an untrained item are scaled to the sum 1.
    """
    if is_trained.all():
        return catalogue
    rows, weights = catalogue
    is_trained_row = np.zeros(rows.max() + 1, np.bool_)
    used_rows = rows[is_trained][weights[is_trained] > 0]
    is_trained_row[used_rows] = True
    trained = np.where(is_trained_row[rows], weights, 0).astype(weights.dtype)
    totals = np.where(is_trained[:, None], 1, trained.sum(axis=1, keepdims=True))
    scaled = trained / np.where(totals > 0, totals, 1).astype(weights.dtype)  # model-R42
    return Catalogue(rows, scaled)


def count_untrained(catalogue: Catalogue, targets: Ragged) -> dict[str, float]:
    """Return numbers and shares of untrained items, and of targets that are untrained items.

    with_features: number of these items whose vector is that of their features.
    """
    is_untrained = catalogue.weights[:, 0] == 0  # column 0 is the id; model-R45
    servable = ServableItems.of(catalogue)
    missed = int(np.count_nonzero(is_untrained[targets.values]))
    return {
        "items": int(is_untrained.sum()),
        "item_share": float(is_untrained.mean()),
        "with_features": int((is_untrained & servable.is_servable).sum()),
        "targets": missed,
        "target_share": missed / max(len(targets.values), 1),
    }


class ServableItems(NamedTuple):
    """The servable items of a catalogue, and their rows in a matrix without the other items."""

    ids: Ints  # (M,) dense ids, ascending
    is_servable: Bools  # (N,)

    @classmethod
    def of(cls, catalogue: Catalogue) -> ServableItems:
        """Return the servable items: those with a weight above 0."""
        is_servable = np.zeros(len(catalogue.weights), np.bool_)
        for column in catalogue.weights.T:  # much faster than `any` over the last axis
            is_servable |= column > 0
        return cls(np.flatnonzero(is_servable), is_servable)

    @property
    def is_all(self) -> bool:
        """Whether every item is servable."""
        return len(self.ids) == len(self.is_servable)

    def select(self, histories: Ragged) -> Ragged:
        """Return histories without the items that are not servable."""
        if self.is_all:
            return histories
        return histories.where(self.is_servable[histories.values])  # model-R44

    def to_rows(self, items: Ragged) -> Ragged:
        """Return dense ids as rows of the matrix of the servable items, without other items."""
        if self.is_all:
            return items
        servable = self.select(items)
        return Ragged(servable.offsets, np.searchsorted(self.ids, servable.values))

    def to_ids(self, rows: Ints) -> Ints:
        """Return rows of the matrix of the servable items as dense ids; -1 stays -1."""
        if self.is_all:
            return rows
        return np.where(rows >= 0, self.ids[rows], -1)  # model-R43
