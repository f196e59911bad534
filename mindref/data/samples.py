"""Training samples: random cuts of the training sequences (specs/data.md, Samples)."""

from __future__ import annotations

import numpy as np

from mindref.data.log import Floats, Ints, Ragged
from mindref.errors import ConfigError, DataError, say


class Cuts:
    """All cuts of sequences: row r cut at p asks for its item p given the items before p.

    Spec: data. Source: paper, section 3.1 (no distribution of cuts named); ComiRec for `by="user"`.
    `by="event"` draws every cut of the log alike; `by="user"` draws a user first, then one of the
    user's cuts. `min_history` (at least 1) is the smallest p; ComiRec's code has 4.
    Errors: `ConfigError` for other values, `DataError` when no sequence is longer than that.
    """

    def __init__(self, sequences: Ragged, *, by: str = "event", min_history: int = 1) -> None:
        if by not in ("event", "user"):
            raise ConfigError(say("cuts by", "event or user", repr(by)))
        if min_history < 1:
            raise ConfigError(say("min_history", "an integer of at least 1", min_history))
        self.sequences = sequences
        self.by = by
        self.min_history = min_history
        # (R,) cuts of each row: an item with fewer than min_history before it is none, data-R39
        self._cuts = np.maximum(sequences.lengths - min_history, 0)
        self._ends = np.cumsum(self._cuts)  # (R,) numbered through all rows
        self._rows = np.flatnonzero(self._cuts)  # rows that can be cut
        if not len(self._rows):
            expected = f"a sequence of more than {min_history} events"
            raise DataError(say("training samples", expected, "none", "use a longer log"))

    def __len__(self) -> int:
        return int(self._ends[-1])

    def draw(self, rng: np.random.Generator, size: int) -> tuple[Ints, Ints]:
        """Draw cuts with replacement: (row (size,), position (size,))."""
        if self.by == "event":
            number = rng.integers(len(self), size=size)  # data-R40 data-R42
            row = np.searchsorted(self._ends, number, side="right")
            nth = number - (self._ends - self._cuts)[row]
        else:
            row = self._rows[rng.integers(len(self._rows), size=size)]  # data-R41
            nth = rng.integers(self._cuts[row])
        return row.astype(np.int64), nth + self.min_history

    def target_probability(self, items: int) -> Floats:
        """Return for each of `items` items the exact chance (N,) to be the target of a draw."""
        sequences = self.sequences
        row = np.repeat(np.arange(len(sequences)), sequences.lengths)
        position = np.arange(len(row)) - sequences.offsets[row]
        is_cut = position >= self.min_history
        if self.by == "event":
            weight = np.full(len(row), 1 / len(self))
        else:
            weight = 1 / (len(self._rows) * np.maximum(self._cuts, 1)[row])
        chance = np.bincount(sequences.values[is_cut], weight[is_cut], minlength=items)
        return chance.astype(np.float64)  # data-R43


def item_counts(sequences: Ragged, items: int) -> Ints:
    """Count how often each of `items` items stands in the training sequences, (N,)."""
    return np.bincount(sequences.values, minlength=items).astype(np.int64)  # data-R44
