"""What a reader returns: the events of users, in order, with dense ids (specs/data.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Ragged(NamedTuple):
    """Rows of different lengths in one flat array: row r is `values[offsets[r]:offsets[r + 1]]`."""

    offsets: Ints  # (R + 1,) starts at 0, never falls
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

    @classmethod
    def of(cls, rows: Sequence[Sequence[int] | Ints]) -> Ragged:
        """Lay rows out flat."""
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        flat = [np.asarray(row, dtype=np.int64) for row in rows]
        values = np.concatenate(flat) if flat else np.zeros(0, np.int64)
        return cls(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), values)


@dataclass(frozen=True)
class Feature:
    """A categorical feature: each item (or user) has zero or more of its values."""

    name: str
    values: Sequence[str]  # the distinct values; a code is an index into them
    codes: Ragged  # row i: the codes of item (or user) i


@dataclass(frozen=True)
class InteractionLog:
    """Events of users: users and items have dense ids in order of first appearance (data-R*)."""

    events: Ragged  # row u: the items of user u, oldest first
    times: Floats | None  # (E,) beside events.values, seconds; None where only the order is known
    user_ids: Sequence[str]  # (U,) external ids; the index is the dense id
    item_ids: Sequence[str]  # (N,) external ids; the index is the dense id
    titles: Sequence[str] | None = None  # (N,) empty string where unknown
    item_features: Sequence[Feature] = ()
    user_features: Sequence[Feature] = ()
    notes: Mapping[str, int] = field(default_factory=dict)  # counts of what was met while reading
    bad_lines: Sequence[str] = ()  # the first damaged lines: file, line number, reason
