"""Training batches and histories as padded arrays of a fixed width (specs/data.md, Samples)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mindref.data.log import Ints, Ragged
from mindref.errors import ConfigError, ShapeError, say

Bools = npt.NDArray[np.bool_]


class Batch(NamedTuple):
    """A batch of training examples."""

    history: Ints  # (B, L) the most recent behaviours, oldest first, then padding (id 0)
    mask: Bools  # (B, L) True at a behaviour, False at padding
    target: Ints  # (B,)


def pad_examples(
    sequences: Ragged,
    rows: Ints,
    positions: Ints,
    length: int,
    history_lengths: Ints | None = None,
) -> Batch:
    """Return the examples with targets at `positions` (B,) of `rows` (B,); L is `length`.

    Spec: data. The history is the last `length` of the first `history_lengths` (B,) items of the
    row; None: of the items before the position. An earlier occurrence of the target stays in it.
    Errors: `ShapeError` for a position outside its row, `ConfigError` for a length below 1.
    """
    outside = (positions < 0) | (positions >= sequences.lengths[rows])
    if outside.any():
        first = int(np.argmax(outside))
        raise ShapeError(say("position", "a position inside its row", int(positions[first])))
    starts = sequences.offsets[rows]
    available = positions if history_lengths is None else history_lengths
    history, mask = _pad_windows(
        sequences.values, starts + available, available, length
    )  # data-R49
    return Batch(history, mask, sequences.values[starts + positions])  # data-R39


def pad_histories(histories: Ragged, length: int) -> tuple[Ints, Bools]:
    """Return histories for evaluation or serving as (history (C, L), mask (C, L)).

    Spec: data. As `pad_examples`. The mask of an empty row is False at every position.
    """
    # data-R50
    return _pad_windows(histories.values, histories.offsets[1:], histories.lengths, length)


def _pad_windows(values: Ints, stops: Ints, available: Ints, length: int) -> tuple[Ints, Bools]:
    """Gather the last min(available, length) values before each stop."""
    if length < 1:
        raise ConfigError(say("history length", "an integer of at least 1", length))
    counts = np.minimum(available, length)
    column = np.arange(length)  # data-R48
    mask = column < counts[:, None]  # data-R46
    history = np.zeros(mask.shape, dtype=np.int64)  # data-R47
    history[mask] = values[((stops - counts)[:, None] + column)[mask]]  # data-R45
    return history, mask
