"""Several lists of a user as one, for `rerank` to put in order.

Spec: specs/recall.md, recall-R4, R18.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mindref.data.log import Ragged
from mindref.errors import DataError, say
from mindref.evaluation.top_n.checks import check_exclude
from mindref.evaluation.top_n.lists import rows_of
from mindref.shapes import Ints

CASES = 64  # that a thread takes at once


def unite(lists: Ints, exclude: Ragged, n_items: int) -> Ints:
    """Return the distinct ids of each row of lists (C, M) that are not excluded for its case.

    -1 is no item. The result has as many columns as its longest row, the rest of a row is -1; the
    order is that of first appearance. Raises DataError for an id outside the catalogue.
    """
    from mindref.kernels import unite as kernels

    check_exclude(exclude, len(lists), n_items)
    lists = np.ascontiguousarray(lists, np.int64)
    ids = np.empty_like(lists)
    widths = []

    def unite_some(part: slice) -> None:
        hidden = rows_of(exclude, part.start, part.stop)
        seen = np.zeros(n_items, np.int16)
        some = np.ascontiguousarray(hidden.offsets), np.ascontiguousarray(hidden.values)
        widths.append(kernels.unite(lists[part], *some, seen, ids[part]))

    in_parts(unite_some, len(lists), CASES * 8)
    if min(widths, default=0) < 0:
        got = f"{lists.min()} to {lists.max()}"
        raise DataError(say("ranking: lists", f"item ids from -1 to {n_items - 1}", got))
    return np.ascontiguousarray(ids[:, : max(widths, default=0)])


def in_parts(work: Callable[[slice], None], size: int, length: int) -> None:
    """Do the work for slices of `length` that cover `size` places.

    On as many threads as MINDREF_THREADS says, or one; the slices do not depend on it.
    """
    from mindref.kernels.fused.workspace import Workspace, slices

    Workspace(1 if size <= length else None).each(work, slices(size, length))
