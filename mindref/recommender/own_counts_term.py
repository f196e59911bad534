"""The term of own counts: validation chooses its weight and its decay.

Spec: specs/mind_plus.md, mind_plus-R25 and R26. The model and its vectors are unchanged.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from mindref.data.log import Ragged
from mindref.models.item_knn import interaction_weights
from mindref.models.parameters import OwnCountsTerm
from mindref.recall.retrieval import ListSearch, entries_at
from mindref.recall.top_n import TopN
from mindref.shapes import Array, Bools, Ints

WEIGHTS = (2.0, 8.0, 32.0)
"""In logits; times `temperature`, they are in units of the score."""

DECAYS = (1.0, 0.95)


def choose_term(
    search: ListSearch, lists: TopN, histories: Ragged, targets: Ragged, temperature: float
) -> OwnCountsTerm | None:
    """Return the term with the largest discounted gain of the targets; None: no term is better.

    search, lists: the top n without the term; histories, targets: whole histories and targets (C
    rows each), in rows of the index.
    """
    items = len(search.index.items)
    terms = [OwnCountsTerm(weight * temperature, x) for x, weight in product(DECAYS, WEIGHTS)]
    counts = {x: interaction_weights(histories, items, decay=x, sum_repeats=True) for x in DECAYS}
    gains = np.zeros(1 + len(terms))
    for cases, candidates in search.with_added(counts[DECAYS[0]]).score_candidates(lists):
        case_targets = targets.take(cases)
        gains[0] += discounted_gain(candidates.items, candidates.scores, case_targets, search.n)
        added = {x: entries_at(counts[x][cases], candidates.items) for x in DECAYS}
        for i, term in enumerate(terms, start=1):
            scores = candidates.scores + term.weight * added[term.decay]
            gains[i] += discounted_gain(candidates.items, scores, case_targets, search.n)
    best = int(np.argmax(gains))  # mind_plus-R26: of equal gains, the first
    return terms[best - 1] if best else None


def discounted_gain(items: Ints, scores: Array, targets: Ragged, n: int) -> float:
    """Return the sum of 1 / log2(1 + rank) over the targets with a rank of at most n.

    items, scores (C, M): of all items that may be in a list of n; -1 is no item.
    """
    cases = np.repeat(np.arange(len(targets)), targets.lengths)
    is_target: Bools = items[cases] == targets.values[:, None]
    listed = np.flatnonzero(is_target.any(axis=1))
    column = is_target[listed].argmax(axis=1)
    rows, ids = scores[cases[listed]], items[cases[listed]]
    score, target = rows[np.arange(len(listed)), column], targets.values[listed]
    is_before = (rows > score[:, None]) | ((rows == score[:, None]) & (ids < target[:, None]))
    ranks = 1 + np.count_nonzero(is_before & (ids >= 0), axis=1)
    return float((1 / np.log2(1 + ranks[ranks <= n])).sum())
