"""The term of own counts: validation chooses its weight and its decay.

Spec: specs/mind_plus.md, mind_plus-R25 and R26. The model and its vectors are unchanged.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from mindref.data.log import Ragged
from mindref.evaluation.metrics import hit_mask
from mindref.models.parameters import OwnCountsTerm
from mindref.recall.retrieval import best_columns, entries_at
from mindref.recall.top_n import TopN
from mindref.recommender.serving.top_n_lists import VectorSearch

WEIGHTS = (2.0, 8.0, 32.0)
"""In logits; times `temperature`, they are in units of the score."""

DECAYS = (1.0, 0.95)


def choose_term(
    vector_search: VectorSearch, targets: Ragged, temperature: float
) -> tuple[TopN, OwnCountsTerm | None]:
    """Return the lists (C, n) with the best term, and the term; None if no term is better.

    The best term has the largest sum of gains of the targets (C rows), discounted by rank.
    """
    search, servable = vector_search.search, vector_search.servable
    terms = [OwnCountsTerm(weight * temperature, x) for x, weight in product(DECAYS, WEIGHTS)]
    counts = {x: vector_search.own_counts(x) for x in DECAYS}
    lists, gains = search.top_n(), np.zeros(1 + len(terms))
    discount = 1 / np.log2(2 + np.arange(search.n))
    for cases, candidates in search.with_added_scores(counts[DECAYS[0]]).score_candidates(lists):
        is_target = hit_mask(servable.to_ids(candidates.items), targets.take(cases))
        added = {x: entries_at(counts[x][cases], candidates.items) for x in DECAYS}
        scores = [candidates.scores + x.weight * added[x.decay] for x in terms]
        for i, with_term in enumerate([candidates.scores, *scores]):
            columns = best_columns(with_term, search.n)
            is_hit = np.take_along_axis(is_target, columns, axis=1)
            gains[i] += (is_hit @ discount[: columns.shape[1]]).sum()
    best = int(np.argmax(gains))  # mind_plus-R26: of equal gains, the first
    term = terms[best - 1] if best else None
    if term is not None:
        lists = vector_search.with_term(term).add_scores(lists)
    return lists._replace(items=servable.to_ids(lists.items)), term
