"""Training examples: random cuts of the training sequences (specs/data.md, Samples)."""

from __future__ import annotations

import numpy as np

from mindref.data.log import Floats, Ints, Ragged
from mindref.errors import ConfigError, DataError, say


class TrainingExamples:
    """All examples of sequences. Row r cut at p: the target is item p, the history all before p.

    Spec: data. Source: paper, eq. 11 (which names no distribution); ComiRec for `by="user"`.
    `by="interaction"` draws every cut with equal probability. `by="user"` draws a user, then one of
    the user's cuts. `min_history` (at least 1) is the smallest p; in ComiRec's code it is 4.
    Errors: `ConfigError` for other values, `DataError` if no sequence is longer than `min_history`.
    """

    def __init__(self, sequences: Ragged, *, by: str = "interaction", min_history: int = 1) -> None:
        if by not in ("interaction", "user"):
            raise ConfigError(say("target_sampling", "interaction or user", repr(by)))
        if min_history < 1:
            raise ConfigError(say("min_history", "an integer of at least 1", min_history))
        self.sequences = sequences
        self.by = by
        self.min_history = min_history
        # (R,) cuts of each row; a target has at least min_history items before it, data-R39
        self._cuts = np.maximum(sequences.lengths - min_history, 0)
        self._ends = np.cumsum(self._cuts)  # (R,) cumulative over all rows
        self._rows = np.flatnonzero(self._cuts)  # rows with at least one cut
        if not len(self._rows):
            expected = f"a sequence of more than {min_history} interactions"
            raise DataError(say("training examples", expected, "none", "use a longer log"))

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
        return row.astype(np.int64), nth + self.min_history

    def target_probability(self, items: int) -> Floats:
        """Return the exact probability (N,) of each of `items` items to be the target of a draw."""
        sequences = self.sequences
        row = np.repeat(np.arange(len(sequences)), sequences.lengths)
        position = np.arange(len(row)) - sequences.offsets[row]
        is_cut = position >= self.min_history
        if self.by == "interaction":
            weight = np.full(len(row), 1 / len(self))
        else:
            weight = 1 / (len(self._rows) * np.maximum(self._cuts, 1)[row])
        chance = np.bincount(sequences.values[is_cut], weight[is_cut], minlength=items)
        return chance.astype(np.float64)  # data-R43


def count_items(sequences: Ragged, items: int) -> Ints:
    """Return the number of occurrences (N,) of each of `items` items in the training sequences."""
    return np.bincount(sequences.values, minlength=items).astype(np.int64)  # data-R44
