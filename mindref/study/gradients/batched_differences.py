"""Many finite differences at once, compared with a gradient formula, for one use of the votes.

One unrolled pass computes many copies of the user, each with one changed entry. A row of the ledger
may be ten thousand times smaller than the total. The centred differences at h and 2h are therefore
extrapolated (Richardson): (4 D(h) - D(2h)) / 3. The error is of order h^4, which allows a larger h
with less rounding. If a kink lies within the step, the entry is repeated with a smaller step, as in
gradients/differences.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mindref.models import mind
from mindref.shapes import Array, Ints
from mindref.study.gradients import unrolled
from mindref.study.gradients.differences import SMALLEST_STEP

if TYPE_CHECKING:
    from mindref.study.tracing import TrainingPair

STEP = 3e-4  # near the fifth root of the precision: see STEP in gradients/differences.py
STEP_FACTOR = 10**-0.5  # factor of the step at a kink
BLOCK_COPIES = 128  # copies in one pass, to limit memory
MAX_ENTRIES = 400  # compared entries: all, or the largest entries and a sample of the others
ERROR_FLOOR = 1e-4  # smallest scale of an error, as a share of the largest entry of the total


class DifferenceCheck(NamedTuple):
    """Comparison of a gradient formula with finite differences."""

    error: float  # largest difference over the largest entry
    checked: int  # entries compared
    norm: float | None  # norm of the differences, if all entries were compared
    worst: tuple[int, ...]  # index of the largest difference
    closed: float  # its gradient by the formula
    difference: float  # its finite difference


def compare_with_differences(
    pair: TrainingPair, variable: str, use: str, closed: Array, total: Array
) -> DifferenceCheck:
    """Compare a gradient with respect to Se, S or e through one use of the votes.

    use: "Se@z[t]" or "Se@b[t]" for one use, "Se" for all uses.
    """
    indices = select_indices(closed)
    differences = batch_differences(pair, variable, use, indices)
    gradients = closed[tuple(indices.T)]
    errors = np.abs(gradients - differences)
    worst = int(np.argmax(errors)) if len(errors) else 0
    scale = max(np.abs(closed).max(initial=0), ERROR_FLOOR * np.abs(total).max(initial=0))
    norm = float(np.linalg.norm(differences)) if len(indices) == closed.size else None
    worst_index = tuple(int(i) for i in indices[worst])
    error = float(errors.max() / scale) if scale else float(errors.max())
    return DifferenceCheck(
        error, len(indices), norm, worst_index, float(gradients[worst]), float(differences[worst])
    )


def select_indices(closed: Array) -> Ints:
    """Return the compared indices (M, axes): half the largest entries, half evenly spaced."""
    flat = np.arange(closed.size)
    if closed.size > MAX_ENTRIES:
        largest = np.argsort(-np.abs(closed), axis=None, kind="stable")[: MAX_ENTRIES // 2]
        spread = np.linspace(0, closed.size - 1, MAX_ENTRIES // 2).astype(np.int64)
        flat = np.union1d(largest, spread)
    return np.stack(np.unravel_index(flat, closed.shape), axis=1)


def batch_differences(pair: TrainingPair, variable: str, use: str, indices: Ints) -> Array:
    """Return centred differences of the loss with respect to entries of Se, S or e, for one use."""
    vote_directions = VoteDirections(pair, variable)
    out = np.empty(len(indices))
    for start in range(0, len(indices), BLOCK_COPIES):
        block_slice = slice(start, start + BLOCK_COPIES)
        out[block_slice] = block_differences(pair, vote_directions, use, indices[block_slice])
    return out


def block_differences(
    pair: TrainingPair, vote_directions: VoteDirections, use: str, indices: Ints
) -> Array:
    """Return the differences of a block of entries, each with a step that contains no kink."""
    out = np.empty(len(indices))
    remaining, h = np.arange(len(indices)), STEP
    while len(remaining):
        directions = vote_directions.directions(indices[remaining])
        offsets = np.concatenate([variable * h * directions for variable in (1, -1, 2, -2)])
        result = unrolled.forward(pair, {use: offsets})
        up, down, further_up, further_down = np.split(result.losses, 4)
        near, far = (up - down) / (2 * h), (further_up - further_down) / (4 * h)
        sides = np.split(result.sides, 4)
        smooth = np.all([(side == sides[0]).all(axis=1) for side in sides], axis=0)
        smooth |= h <= SMALLEST_STEP
        out[remaining[smooth]] = ((4 * near - far) / 3)[smooth]
        remaining, h = remaining[~smooth], h * STEP_FACTOR
    return out


class VoteDirections:
    """The change of the votes S e for a change of one entry of Se, S or e."""

    def __init__(self, pair: TrainingPair, variable: str) -> None:
        e, _ = mind.behaviour_vectors(pair.params, pair.batch.histories, pair.catalogue)
        self.variable, self.e, self.bilinear = variable, e[0], pair.params.bilinear

    def directions(self, indices: Ints) -> Array:
        """Return the direction of the votes (M, L, D) for each index."""
        count = len(indices)
        out = np.zeros((count, *self.e.shape))
        rows, columns = indices.T
        each: Any = np.arange(count)
        if self.variable == "Se":
            out[each, rows, columns] = 1
        elif self.variable == "S":  # Se_ia = sum_b S_ab e_ib
            out[each, :, rows] = self.e[:, columns].T
        else:  # e_ib changes Se_ia by S_ab
            out[each, rows] = self.bilinear[:, columns].T
        return out
