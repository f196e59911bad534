"""Lay sequences out as padded arrays of one fixed width (specs/data.md, Samples)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mindref.data.log import Ints, Ragged
from mindref.errors import ConfigError, ShapeError, say

Bools = npt.NDArray[np.bool_]


class Batch(NamedTuple):
    """Training samples side by side."""

    history: Ints  # (B, L) the most recent behaviours, oldest first, then padding (id 0)
    mask: Bools  # (B, L) True where a behaviour stands
    target: Ints  # (B,)


def lay_out(sequences: Ragged, rows: Ints, positions: Ints, length: int) -> Batch:
    """Lay out the cuts of `rows` (B,) at `positions` (B,) with windows of `length` places.

    Spec: data. The history is everything before the position, its last `length` items if longer.
    An earlier occurrence of the target stays: it is behaviour.
    Errors: `ShapeError` for a position outside its row, `ConfigError` for a length below 1.
    """
    outside = (positions < 0) | (positions >= sequences.lengths[rows])
    if outside.any():
        at = int(np.argmax(outside))
        raise ShapeError(say("position", "one inside its row", int(positions[at])))
    stops = sequences.offsets[rows] + positions
    history, mask = _windows(sequences.values, stops, positions, length)  # data-R49
    return Batch(history, mask, sequences.values[stops])  # data-R39


def lay_out_histories(histories: Ragged, length: int) -> tuple[Ints, Bools]:
    """Lay out whole histories for evaluation or serving: (history (C, L), mask (C, L)).

    Spec: data. As `lay_out`; a row may be empty, its mask is then False throughout.
    """
    return _windows(histories.values, histories.offsets[1:], histories.lengths, length)  # data-R50


def _windows(values: Ints, stops: Ints, known: Ints, length: int) -> tuple[Ints, Bools]:
    """Gather, for each stop, the last min(known, length) values before it."""
    if length < 1:
        raise ConfigError(say("history length", "an integer of at least 1", length))
    kept = np.minimum(known, length)
    place = np.arange(length)  # data-R48
    mask = place < kept[:, None]  # data-R46
    history = np.zeros(mask.shape, dtype=np.int64)  # data-R47
    history[mask] = values[((stops - kept)[:, None] + place)[mask]]  # data-R45
    return history, mask
