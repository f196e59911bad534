"""Many finite differences at once: a closed form against them, at one place of the computation.

Copies of the user, each with one entry moved, go through one flat pass side by side. A row of a
ledger may be ten thousand times smaller than the whole, so the centred difference is taken at h and
at 2h, and the two are extrapolated (Richardson): (4 D(h) - D(2h)) / 3, whose error is of the order
h^4 and allows a larger h, with less rounding. Entries whose way leads over a corner are tried again
with a smaller step, as in study/differences.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mindref.models import mind
from mindref.shapes import Array, Ints
from mindref.study.gradients import unrolled
from mindref.study.gradients.differences import SMALLEST

if TYPE_CHECKING:
    from mindref.study.run import Given

STEP = 3e-4  # near the fifth root of the precision: see STEP in study/differences.py
SHORTER = 10**-0.5  # by how much the step shrinks at a corner
BLOCK = 128  # copies at a time: bounds memory
MOST = 400  # entries that are compared: all, or the largest and some spread over the rest
FLOOR = 1e-4  # an error is not measured against less than this share of the whole's largest entry


class Check(NamedTuple):
    """How far a closed form is from finite differences."""

    error: float  # largest difference over the largest entry
    checked: int  # entries compared
    norm: float | None  # of the differences, if all entries were compared
    worst: tuple[int, ...]  # index of the largest difference
    closed: float  # there
    difference: float  # there


def check(given: Given, by: str, place: str, closed: Array, whole: Array) -> Check:
    """Compare a gradient by m, S or e through one place of use with finite differences.

    place: "m@z[r]" or "m@b[r]" for one place, "m" for all of them at once.
    """
    indices = chosen(closed)
    found = differences(given, by, place, indices)
    here = closed[tuple(indices.T)]
    off = np.abs(here - found)
    worst = int(np.argmax(off)) if len(off) else 0
    scale = max(np.abs(closed).max(initial=0), FLOOR * np.abs(whole).max(initial=0))
    norm = float(np.linalg.norm(found)) if len(indices) == closed.size else None
    place_of_worst = tuple(int(i) for i in indices[worst])
    error = float(off.max() / scale) if scale else float(off.max())
    return Check(error, len(indices), norm, place_of_worst, float(here[worst]), float(found[worst]))


def chosen(closed: Array) -> Ints:
    """Return the indices that are compared (M, axes): half the largest, half evenly spread."""
    flat = np.arange(closed.size)
    if closed.size > MOST:
        largest = np.argsort(-np.abs(closed), axis=None, kind="stable")[: MOST // 2]
        spread = np.linspace(0, closed.size - 1, MOST // 2).astype(np.int64)
        flat = np.union1d(largest, spread)
    return np.stack(np.unravel_index(flat, closed.shape), axis=1)


def differences(given: Given, by: str, place: str, indices: Ints) -> Array:
    """Return the centred differences of the loss by entries of m, S or e at one place of use."""
    ways = Ways(given, by)
    out = np.empty(len(indices))
    for at in range(0, len(indices), BLOCK):
        some = slice(at, at + BLOCK)
        out[some] = block(given, ways, place, indices[some])
    return out


def block(given: Given, ways: Ways, place: str, indices: Ints) -> Array:
    """Return the differences of a few entries, each with a step that meets no corner."""
    out = np.empty(len(indices))
    left, h = np.arange(len(indices)), STEP
    while len(left):
        one = ways.of(indices[left])
        offsets = np.concatenate([by * h * one for by in (1, -1, 2, -2)])
        done = unrolled.forward(given, {place: offsets})
        up, down, further_up, further_down = np.split(done.losses, 4)
        near, far = (up - down) / (2 * h), (further_up - further_down) / (4 * h)
        sides = np.split(done.sides, 4)
        smooth = np.all([(side == sides[0]).all(axis=1) for side in sides], axis=0)
        smooth |= h <= SMALLEST
        out[left[smooth]] = ((4 * near - far) / 3)[smooth]
        left, h = left[~smooth], h * SHORTER
    return out


class Ways:
    """How m moves when one entry of m, S or e does, as m = S e."""

    def __init__(self, given: Given, by: str) -> None:
        e, _ = mind.behaviours(given.params, given.batch.histories, given.catalogue)
        self.by, self.e, self.bilinear = by, e[0], given.params.bilinear

    def of(self, indices: Ints) -> Array:
        """Return the directions of m (M, L, D), one for each index."""
        count = len(indices)
        out = np.zeros((count, *self.e.shape))
        rows, columns = indices.T
        each: Any = np.arange(count)
        if self.by == "m":
            out[each, rows, columns] = 1
        elif self.by == "S":  # m_ia = sum_b S_ab e_ib
            out[each, :, rows] = self.e[:, columns].T
        else:  # e_ib moves m_ia by S_ab
            out[each, rows] = self.bilinear[:, columns].T
        return out
