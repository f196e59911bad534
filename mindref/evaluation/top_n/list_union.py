"""The union of several lists of a user, as candidates for `rescore_candidates`.

Spec: specs/recall.md, recall-R4, R18.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mindref.data.log import Ragged
from mindref.errors import DataError, say
from mindref.evaluation.top_n.checks import check_exclude
from mindref.evaluation.top_n.result import row_range
from mindref.shapes import Ints

CASES_PER_TASK = 64


def unite_lists(lists: Ints, exclude: Ragged, n_items: int) -> Ints:
    """Return the distinct ids of each row of lists (C, M) that are not excluded for the case.

    The order is that of first appearance. -1 is no item and pads the rows. The result has as many
    columns as the longest row. Raises DataError for an id outside the catalogue.
    """
    from mindref.kernels import list_union as kernels

    check_exclude(exclude, len(lists), n_items)
    lists = np.ascontiguousarray(lists, np.int64)
    ids = np.empty_like(lists)
    widths = []

    def unite_part(part: slice) -> None:
        excluded = row_range(exclude, part.start, part.stop)
        is_used = np.zeros(n_items, np.int16)
        rows = np.ascontiguousarray(excluded.offsets), np.ascontiguousarray(excluded.values)
        widths.append(kernels.union_lists(lists[part], *rows, is_used, ids[part]))

    run_slices(unite_part, len(lists), CASES_PER_TASK * 8)
    if min(widths, default=0) < 0:
        got = f"{lists.min()} to {lists.max()}"
        raise DataError(say("top_n: lists", f"item ids from -1 to {n_items - 1}", got))
    return np.ascontiguousarray(ids[:, : max(widths, default=0)])


def run_slices(work: Callable[[slice], None], size: int, length: int) -> None:
    """Call `work` for slices of `length` that cover `size` rows.

    Uses MINDREF_THREADS threads (default 1). The slices do not depend on the number of threads.
    """
    from mindref.kernels.fused.workspace import KernelWorkspace, block_slices

    KernelWorkspace(1 if size <= length else None).run_blocks(work, block_slices(size, length))
