"""Training examples: random cuts of the training sequences (specs/data.md, Samples)."""

from __future__ import annotations

import numpy as np

from mindref.data.log import Floats, Ints, Ragged
from mindref.errors import ConfigError, DataError, say


class TrainingExamples:
    """All examples of sequences. Row r cut at p: the target is item p, the history all before p.

    Spec: data. Source: paper, eq. 11 (which names no distribution); ComiRec for `by="user"`.
    `by="interaction"` draws every cut with equal probability. `by="user"` draws a user, then one of
    the user's cuts. Differs: the smallest p is 1; in ComiRec's code it is 4.
    history_lengths (E,): number of items in the history of each target, non-decreasing in a row;
    None: all items before it.
    Errors: `ConfigError` for another `by`, `DataError` if no target has a history.
    """

    def __init__(
        self, sequences: Ragged, *, by: str = "interaction", history_lengths: Ints | None = None
    ) -> None:
        if by not in ("interaction", "user"):
            raise ConfigError(say("target_sampling", "interaction or user", repr(by)))
        self.sequences, self.by = sequences, by
        if history_lengths is None:  # the position of each interaction in its row
            starts = np.repeat(sequences.offsets[:-1], sequences.lengths)
            history_lengths = np.arange(len(sequences.values)) - starts
        self.history_lengths = history_lengths
        # (R,) cuts of each row; a target has at least one item before it, data-R39
        self._cuts = sequences.where(self.history_lengths >= 1).lengths
        self._ends = np.cumsum(self._cuts)  # (R,) cumulative over all rows
        self._rows = np.flatnonzero(self._cuts)  # rows with at least one cut
        if not len(self._rows):
            todo = "use a longer log, or turn basket_histories off if it is on"
            raise DataError(say("training examples", "a target with a history", "none", todo))

    def __len__(self) -> int:
        return int(self._ends[-1])

    def draw(self, rng: np.random.Generator, size: int) -> tuple[Ints, Ints]:
        """Draw examples with replacement. Return (row (size,), position (size,))."""
        if self.by == "interaction":
            number = rng.integers(len(self), size=size)  # data-R40 data-R42
            row = np.searchsorted(self._ends, number, side="right")
            nth = number - (self._ends - self._cuts)[row]
        else:
            row = self._rows[rng.integers(len(self._rows), size=size)]  # data-R41
            nth = rng.integers(self._cuts[row])
        first = self.sequences.lengths[row] - self._cuts[row]
        return row.astype(np.int64), first + nth

    def target_probability(self, items: int) -> Floats:
        """Return the exact probability (N,) of each of `items` items to be the target of a draw."""
        sequences = self.sequences
        row = np.repeat(np.arange(len(sequences)), sequences.lengths)
        is_cut = self.history_lengths >= 1
        if self.by == "interaction":
            weight = np.full(len(row), 1 / len(self))
        else:
            weight = 1 / (len(self._rows) * np.maximum(self._cuts, 1)[row])
        chance = np.bincount(sequences.values[is_cut], weight[is_cut], minlength=items)
        return chance.astype(np.float64)  # data-R43


def count_items(sequences: Ragged, items: int) -> Ints:
    """Return the number of occurrences (N,) of each of `items` items in the training sequences."""
    return np.bincount(sequences.values, minlength=items).astype(np.int64)  # data-R44
