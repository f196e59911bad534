"""The interaction log: interactions of users, in order, with dense ids (specs/data.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

MANY_REPEATS = 0.5  # of the interactions: most next items are seen items

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Ragged(NamedTuple):
    """Rows of different lengths in one flat array: row r is `values[offsets[r]:offsets[r + 1]]`."""

    offsets: Ints  # (R + 1,) starts at 0, non-decreasing
    values: Ints  # (E,)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def row(self, r: int) -> Ints:
        """Return row r as a view."""
        return self.values[self.offsets[r] : self.offsets[r + 1]]

    @property
    def lengths(self) -> Ints:
        """Lengths of the rows, (R,)."""
        return np.diff(self.offsets)

    def take(self, rows: Ints) -> Ragged:
        """Return the rows with these indices, in their order."""
        lengths = self.lengths[rows]
        return self.slice(rows, np.zeros_like(lengths), lengths)

    def slice(self, rows: Ints, start: Ints, stop: Ints) -> Ragged:
        """Return `self.row(rows[i])[start[i]:stop[i]]` as row i, without a loop."""
        lengths = stop - start
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        shift = np.repeat(self.offsets[rows] + start - offsets[:-1], lengths)
        return Ragged(offsets, self.values[np.arange(offsets[-1]) + shift])

    def keys(self, base: int) -> Ints:
        """Return r * base + value for every value of row r, (E,). base: larger than all values."""
        return np.repeat(np.arange(len(self)), self.lengths) * base + self.values

    def where(self, is_kept: npt.NDArray[np.bool_]) -> Ragged:
        """Return the rows with only the values that are kept (E,)."""
        kept_before = np.concatenate([[0], np.cumsum(is_kept)]).astype(np.int64)
        return Ragged(kept_before[self.offsets], self.values[is_kept])

    def ends(self, length: int) -> Ragged:
        """Return at most the last `length` values of each row."""
        lengths = self.lengths
        return self.slice(np.arange(len(self)), np.maximum(lengths - length, 0), lengths)

    @classmethod
    def of(cls, rows: Sequence[Sequence[int] | Ints]) -> Ragged:
        """Return rows as one flat array with offsets."""
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        flat = [np.asarray(row, dtype=np.int64) for row in rows]
        values = np.concatenate(flat) if flat else np.zeros(0, np.int64)
        return cls(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), values)


@dataclass(frozen=True)
class Feature:
    """A categorical feature. Each item (or user) has zero or more values."""

    name: str
    values: Sequence[str]  # distinct values; a code is an index of this list
    codes: Ragged  # row i: the codes of item (or user) i


class Hint(NamedTuple):
    """A property of a log for which another option may suit it (data-R88)."""

    fact: str
    option: str  # of a command
    argument: str  # of `fit`
    advice: str = "consider {}"

    def line(self, *, is_command: bool) -> str:
        """Return the hint, which names the option of a command or the argument of `fit`."""
        return f"{self.fact}; {self.advice.format(self.option if is_command else self.argument)}"


@dataclass(frozen=True)
class InteractionLog:
    """Interactions of users. Dense ids are in order of first appearance in the file (data-R2)."""

    interactions: Ragged  # row u: the items of user u, oldest first
    times: Floats | None  # (E,) seconds, aligned with interactions.values; None without times
    user_ids: Sequence[str]  # (U,) external ids; the index is the dense id
    item_ids: Sequence[str]  # (N,) external ids; the index is the dense id
    titles: Sequence[str] | None = None  # (N,) empty string where unknown
    item_features: Sequence[Feature] = ()
    user_features: Sequence[Feature] = ()
    notes: Mapping[str, int] = field(default_factory=dict)  # counts, by `assemble.NOTES`
    bad_lines: Sequence[str] = ()  # the first damaged lines: file, line number, reason
    hints: Sequence[Hint] = ()  # of the reader
    integer_ids: Sequence[str] = ()  # item, user: ids that were integers in memory (data-R94)

    @property
    def num_used_items(self) -> int:
        """The number of items with an interaction. They have the first dense ids (data-R84)."""
        return int(self.interactions.values.max(initial=-1)) + 1

    @property
    def repeat_share(self) -> float:
        """The share of interactions with an item that the user has had before, from the notes."""
        return self.notes.get("repeats", 0) / max(1, len(self.interactions.values))

    def excludes_seen(self, requested: bool | None) -> bool:
        """Return whether lists exclude seen items; None: unless half of the log are repeats."""
        return self.repeat_share < MANY_REPEATS if requested is None else requested  # data-R99
